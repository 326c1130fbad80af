"""One bulk job from its lines to its files. It may be killed at any moment and goes on from there.

What is on disk says what is done: `plan.jsonl` who answers, the journals `output.jsonl` and
`errors.jsonl` which lines are finished. The database only tells people.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from collegium.errors import CollegiumError, NoFeasibleExpert
from collegium.experts.bulk.journal import Journal
from collegium.experts.bulk.lines import BadLine, Line, read_lines
from collegium.registry.batches import BatchRecord
from collegium.registry.files import FileRecord
from collegium.router.decision import Decision
from collegium.web.batch import results
from collegium.web.batch.asking import Asking
from collegium.web.batch.budgeting import Budgeting
from collegium.web.batch.inbox import INPUT
from collegium.web.batch.job_routing import JobRouting
from collegium.web.batch.ledger import Ledger
from collegium.web.batch.plan import Plan, load_plan, make_plan, save_plan
from collegium.web.serving.parts import Parts

PLAN, OUTPUT, ERRORS, LEDGER = "plan.jsonl", "output.jsonl", "errors.jsonl", "ledger.jsonl"
MOST_LINES = 50_000
WATCH_S = 0.5
End = Literal["completed", "cancelled", "expired"]
OPEN = ("validating", "in_progress", "cancelling", "finalizing")


class BulkJob:
    """Does what is left of a job and returns when it has ended."""

    def __init__(self, parts: Parts, record: BatchRecord, folder: Path) -> None:
        self._parts = parts
        self._record = record
        self._folder = folder
        self._output = Journal(folder / OUTPUT)
        self._errors = Journal(folder / ERRORS)
        self._limits = JobRouting.model_validate(dict(record.routing)).limits()
        self._ledger = Ledger(self._limits.budget_usd, Journal(folder / LEDGER))
        self._budgeting = Budgeting(self._limits, self._ledger)
        self._finished: set[int] = set()
        self._total = 0
        self._completed = 0
        self._failed = 0

    async def run(self) -> None:
        """Validate, plan, ask, finish."""
        try:
            await asyncio.to_thread(self._recover)
            lines = await asyncio.to_thread(self._read)
            if (fault := _fault(lines)) is not None:
                return await self._fail(*fault)
            self._total = len(lines)
            end = self._ended_already() or await self._until_ended(lines)
            await self._finish(end, lines)
        except NoFeasibleExpert as exc:
            await self._fail(exc.code, exc.public)
        finally:
            await self._output.close()
            await self._errors.close()
            await self._ledger.close()

    def _recover(self) -> None:
        self._ledger.recover()
        for record in self._output.open():
            self._finished.add(results.number_of(record))
            self._completed += 1
            if self._limits.budget_usd is None:  # else the ledger's own journal says more
                self._ledger.spent += results.cost_of(record)
        for record in self._errors.open():
            self._finished.add(results.number_of(record))
            self._failed += 1

    def _read(self) -> list[Line | BadLine]:
        with (self._folder / INPUT).open("rb") as source:
            return list(islice(read_lines(source, self._record.endpoint), MOST_LINES + 1))

    def _ended_already(self) -> End | None:
        """What was to happen when the job was last seen, before anything more is asked."""
        if self._record.status == "cancelling":
            return "cancelled"
        if self._record.status == "finalizing":
            return "completed"
        return "expired" if self._is_over() else None

    async def _until_ended(self, lines: Sequence[Line | BadLine]) -> End:
        """Work until everything is done, somebody cancels, or the time is over."""
        work = asyncio.create_task(self._work(lines), name=f"work on {self._record.id}")
        watch = asyncio.create_task(self._watch(), name=f"watch {self._record.id}")
        try:
            await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
                return "completed"
            return watch.result()
        finally:
            for task in (work, watch):
                task.cancel()
            await asyncio.gather(work, watch, return_exceptions=True)

    def _is_over(self) -> bool:
        return self._record.expires_at <= self._parts.clock.now()

    async def _watch(self) -> End:
        """Tell people how far it is; return when the job must end early."""
        told: tuple[float, ...] = ()
        while True:
            if self._is_over():
                return "expired"
            if (await self._parts.batches.get(self._record.id)).status == "cancelling":
                return "cancelled"
            money = self._ledger.spent, self._ledger.reserved
            counts = (self._total, self._completed, self._failed, *money)
            if counts != told:
                await self._count()
                told = counts
            await asyncio.sleep(WATCH_S)

    async def _work(self, lines: Sequence[Line | BadLine]) -> None:
        for line in lines:
            if isinstance(line, BadLine) and line.number not in self._finished:
                await self._failed_line(line.number, results.bad(self._record.id, line))
        requests = {line.number: line for line in lines if isinstance(line, Line)}
        decisions = await self._planned(list(requests.values()))
        await self._parts.batches.become(self._record.id, "in_progress", out_of=("validating",))
        while left := {n: d for n, d in decisions.items() if n not in self._finished}:
            self._budgeting.begin(left)
            asking = Asking(
                self._parts,
                self._ledger,
                self._budgeting,
                self._answered,
                self._refused,
                owner=self._record.owner,
            )
            await asking.ask([(requests[n], d) for n, d in left.items()])
            if self._budgeting.is_behind:
                decisions = await self._planned_anew(requests, decisions)

    async def _planned_anew(
        self, requests: Mapping[int, Line], decisions: Mapping[int, Decision]
    ) -> dict[int, Decision]:
        """The lines that are left, by the forecasts and the money of now."""
        parts, router = self._parts, await self._parts.router.wait()
        done = [decision for n, decision in decisions.items() if n in self._finished]
        lines = [requests[n] for n in decisions if n not in self._finished]
        limits = self._budgeting.limits_left(done)
        plan = await make_plan(
            parts.pipeline,
            router,
            parts.fleet,
            lines,
            limits,
            owner=self._record.owner,
            or_cheapest=True,
        )
        whole = Plan({**decisions, **plan.decisions}, {})
        await asyncio.to_thread(save_plan, whole, self._folder / PLAN)
        return dict(whole.decisions)

    async def _planned(self, lines: Sequence[Line]) -> dict[int, Decision]:
        path = self._folder / PLAN
        known = await asyncio.to_thread(load_plan, path)
        if known is not None:
            return known
        parts, router = self._parts, await self._parts.router.wait()
        plan = await make_plan(
            parts.pipeline, router, parts.fleet, lines, self._limits, owner=self._record.owner
        )
        ids = {line.number: line for line in lines}
        for number, error in plan.refusals.items():
            if number not in self._finished:
                await self._refused(ids[number], error)
        await asyncio.to_thread(save_plan, plan, path)
        return dict(plan.decisions)

    async def _answered(self, line: Line, request_id: str, body: dict[str, Any]) -> None:
        batch = self._record.id
        await self._output.append(
            results.answered(batch, line.number, line.custom_id, request_id, body)
        )
        self._finished.add(line.number)
        self._completed += 1

    async def _refused(self, line: Line, error: CollegiumError) -> None:
        record = results.refused(self._record.id, line.number, line.custom_id, error)
        await self._failed_line(line.number, record)

    async def _failed_line(self, number: int, record: dict[str, Any]) -> None:
        await self._errors.append(record)
        self._finished.add(number)
        self._failed += 1

    async def _finish(self, end: End, lines: Sequence[Line | BadLine]) -> None:
        """Make files of the journals, then say so: done again after a kill, it does the same."""
        batches, batch = self._parts.batches, self._record.id
        if end == "expired":
            for line in lines:
                if isinstance(line, Line) and line.number not in self._finished:
                    late = results.expired(batch, line.number, line.custom_id)
                    await self._failed_line(line.number, late)
        if end == "completed":
            await batches.become(batch, "finalizing", out_of=("validating", "in_progress"))
        await self._count()
        files = {
            "output_file_id": await self._publish(self._output, "output"),
            "error_file_id": await self._publish(self._errors, "errors"),
        }
        await batches.become(batch, end, out_of=OPEN, **files)

    async def _publish(self, journal: Journal, kind: str) -> str | None:
        await journal.close()
        if journal.path.stat().st_size == 0:
            return None
        digest = hashlib.sha256(f"{self._record.id} {kind}".encode()).hexdigest()
        file_id = f"file-{digest[:24]}"
        size = await asyncio.to_thread(self._parts.file_store.adopt, journal.path, file_id)
        name = f"{self._record.id}_{kind}.jsonl"
        await self._parts.files.put(
            FileRecord(file_id, name, "batch_output", size, owner=self._record.owner)
        )
        return file_id

    async def _fail(self, code: str, message: str) -> None:
        error = {"code": code, "message": message, "line": None, "param": None}
        batch = self._record.id
        await self._parts.batches.become(batch, "failed", out_of=OPEN, errors=[error])

    async def _count(self) -> None:
        await self._parts.batches.count(
            self._record.id,
            total=self._total,
            completed=self._completed,
            failed=self._failed,
            money=self._ledger.shown(self._budgeting.rest_usd),
        )


def _fault(lines: Sequence[Line | BadLine]) -> tuple[str, str] | None:
    """Why a whole job can't be done: code and message."""
    if not lines:
        return "empty_file", "The input file has no lines"
    if len(lines) > MOST_LINES:
        return "too_many_lines", f"The input file has more than {MOST_LINES} lines"
    return None
