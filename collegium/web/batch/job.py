"""One bulk job from its lines to its files. Its process may be killed at any moment.

The journal says what is done: its last plan who answers, its output and errors which lines are
finished. The replica that claims the job next goes on from there.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from itertools import islice
from tempfile import TemporaryFile
from typing import IO, Any, Literal

from collegium.errors import (
    CollegiumError,
    Forbidden,
    LeaseLost,
    LimitReached,
    NoFeasibleExpert,
    UnknownFile,
)
from collegium.experts.bulk.lines import BadLine, Line, read_lines
from collegium.registry.bulk.batches import BatchRecord, BatchStatus
from collegium.registry.bulk.files import FileRecord
from collegium.registry.bulk.journal import BatchJournal
from collegium.router.decision import Decision
from collegium.web.batch import results
from collegium.web.batch.asking import Asking
from collegium.web.batch.budgeting import Budgeting
from collegium.web.batch.job_routing import JobRouting
from collegium.web.batch.ledger import Ledger
from collegium.web.batch.plan import Plan, decoded, encoded, make_plan
from collegium.web.serving.parts import Parts
from collegium.web.serving.reached import SOON_S

MOST_LINES = 50_000
WATCH_S = 0.5
End = Literal["completed", "cancelled", "expired"]
OPEN = ("validating", "in_progress", "cancelling", "finalizing")


class BulkJob:
    """Does what is left of a job and returns when it has ended."""

    def __init__(self, parts: Parts, record: BatchRecord, worker: str) -> None:
        self._parts = parts
        self._record = record
        self._worker = worker
        self._journal = BatchJournal(parts.database, record.id, worker)
        self._limits = JobRouting.model_validate(dict(record.routing)).limits()
        self._ledger = Ledger(self._limits.budget_usd, self._journal)
        self._budgeting = Budgeting(self._limits, self._ledger)
        self._finished: set[int] = set()
        self._waiting: dict[int, LimitReached] = {}
        """Lines that wait for a limit of the job's owner."""
        self._total = 0
        self._completed = 0
        self._failed = 0

    async def run(self) -> None:
        """Validate, plan, ask, finish; LeaseLost where another replica takes the job over."""
        try:
            await self._recover()
            lines = await self._read()
            if (fault := _fault(lines)) is not None:
                return await self._fail(*fault)
            self._total = len(lines)
            end = self._ended_already() or await self._until_ended(lines)
            await self._finish(end, lines)
        except (NoFeasibleExpert, Forbidden, UnknownFile) as exc:
            await self._fail(exc.code, exc.public)
        finally:
            await self._journal.close()

    async def _recover(self) -> None:
        await self._ledger.recover()
        async for data in self._journal.records("output"):
            record = json.loads(data)
            self._finished.add(results.number_of(record))
            self._completed += 1
            if self._limits.budget_usd is None:  # else the ledger's own journal says more
                self._ledger.spent += results.cost_of(record)
        async for data in self._journal.records("errors"):
            self._finished.add(results.number_of(json.loads(data)))
            self._failed += 1

    async def _read(self) -> list[Line | BadLine]:
        with TemporaryFile() as source:
            async for chunk in self._parts.file_store.chunks(self._record.input_file_id):
                await asyncio.to_thread(source.write, chunk)
            source.seek(0)
            return await asyncio.to_thread(self._lines, source)

    def _lines(self, source: IO[bytes]) -> list[Line | BadLine]:
        return list(islice(read_lines(source, self._record.endpoint), MOST_LINES + 1))

    def _ended_already(self) -> End | None:
        """End the job if its end was already due when it was last seen, before anything else is
        asked.
        """
        if self._record.status == "cancelling":
            return "cancelled"
        if self._record.status == "finalizing":
            return "completed"
        return "expired" if self._is_over() else None

    async def _until_ended(self, lines: Sequence[Line | BadLine]) -> End:
        """Work until everything is done, the job is cancelled, or its time is over."""
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
        told: tuple[Any, ...] = ()
        while True:
            if self._is_over():
                return "expired"
            now = await self._parts.batches.get(self._record.id)
            if now.worker != self._worker:
                raise LeaseLost(f"another replica works on {self._record.id}")
            if now.status == "cancelling":
                return "cancelled"
            money = self._ledger.spent, self._ledger.reserved
            counts = (self._total, self._completed, self._failed, *money, self._pause())
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
        await self._become("in_progress", out_of=("validating",))
        while left := {n: d for n, d in decisions.items() if n not in self._finished}:
            self._budgeting.begin(left)
            asking = Asking(
                self._parts,
                self._ledger,
                self._budgeting,
                self._answered,
                self._refused,
                self._record,
                self._waiting,
            )
            await asking.ask([(requests[n], d) for n, d in left.items()])
            if self._budgeting.is_behind:
                decisions = await self._planned_anew(requests, decisions)

    async def _planned_anew(
        self, requests: Mapping[int, Line], decisions: Mapping[int, Decision]
    ) -> dict[int, Decision]:
        """The lines that are left, by the forecasts and the money of now."""
        parts = self._parts
        await parts.router.wait()
        done = [decision for n, decision in decisions.items() if n in self._finished]
        lines = [requests[n] for n in decisions if n not in self._finished]
        limits = self._budgeting.limits_left(done)
        plan = await make_plan(
            parts.pipeline,
            parts.fleet,
            lines,
            limits,
            caller=parts.callers.named(self._record.owner),
            or_cheapest=True,
        )
        whole = Plan({**decisions, **plan.decisions}, {})
        await self._save(whole)
        return dict(whole.decisions)

    async def _planned(self, lines: Sequence[Line]) -> dict[int, Decision]:
        plans = [data async for data in self._journal.records("plan")]
        if plans:
            return await asyncio.to_thread(decoded, plans[-1])
        parts = self._parts
        await parts.router.wait()
        caller = parts.callers.named(self._record.owner)
        plan = await make_plan(parts.pipeline, parts.fleet, lines, self._limits, caller=caller)
        ids = {line.number: line for line in lines}
        for number, error in plan.refusals.items():
            if number not in self._finished:
                await self._refused(ids[number], error)
        await self._save(plan)
        return dict(plan.decisions)

    async def _save(self, plan: Plan) -> None:
        await self._journal.append("plan", await asyncio.to_thread(encoded, plan))

    async def _answered(self, line: Line, request_id: str, body: dict[str, Any]) -> None:
        batch = self._record.id
        record = results.answered(batch, line.number, line.custom_id, request_id, body)
        await self._journal.append("output", results.encoded(record), line=line.number)
        self._has_finished(line.number)
        self._completed += 1

    def _has_finished(self, number: int) -> None:
        self._finished.add(number)
        self._waiting.pop(number, None)

    async def _refused(self, line: Line, error: CollegiumError) -> None:
        record = results.refused(self._record.id, line.number, line.custom_id, error)
        await self._failed_line(line.number, record)

    async def _failed_line(self, number: int, record: dict[str, Any]) -> None:
        await self._journal.append("errors", results.encoded(record), line=number)
        self._has_finished(number)
        self._failed += 1

    async def _finish(self, end: End, lines: Sequence[Line | BadLine]) -> None:
        """Make files of the journal, then end with them in one step."""
        self._waiting.clear()
        if end == "expired":
            for line in lines:
                if isinstance(line, Line) and line.number not in self._finished:
                    late = results.expired(self._record.id, line.number, line.custom_id)
                    await self._failed_line(line.number, late)
        if end == "completed":
            await self._become("finalizing", out_of=("validating", "in_progress"))
        await self._count()
        output = await self._file("output") if self._completed else None
        errors = await self._file("errors") if self._failed else None
        await self._become(
            end,
            files=[file for file in (output, errors) if file is not None],
            output_file_id=output and output.id,
            error_file_id=errors and errors.id,
        )

    async def _file(self, kind: Literal["output", "errors"]) -> FileRecord:
        """Write the lines to the file store; the file exists when the job ends with it."""
        file_id, size = await self._parts.file_store.save(self._journal.records(kind))
        name = f"{self._record.id}_{kind}.jsonl"
        return FileRecord(file_id, name, "batch_output", size, owner=self._record.owner)

    async def _fail(self, code: str, message: str) -> None:
        error = {"code": code, "message": message, "line": None, "param": None}
        await self._become("failed", errors=[error])

    async def _become(
        self, status: BatchStatus, *, out_of: Sequence[str] = OPEN, **changes: Any
    ) -> None:
        batches = self._parts.batches
        await batches.become(self._record.id, status, out_of=out_of, worker=self._worker, **changes)

    async def _count(self) -> None:
        await self._parts.batches.count(
            self._record.id,
            self._worker,
            total=self._total,
            completed=self._completed,
            failed=self._failed,
            money=self._ledger.shown(self._budgeting.rest_usd),
            errors=self._pause(),
        )

    def _pause(self) -> list[dict[str, Any]]:
        """Say which limit the first line waits for that does not go on at once; usually none."""
        for number, why in sorted(self._waiting.items()):
            if not 0 < (why.retry_after_s or 0) <= SOON_S:
                message = f"The job is waiting: {why.public}"
                return [{"code": why.code, "message": message, "line": number, "param": None}]
        return []


def _fault(lines: Sequence[Line | BadLine]) -> tuple[str, str] | None:
    """Why a whole job can't be done: code and message."""
    if not lines:
        return "empty_file", "The input file has no lines"
    if len(lines) > MOST_LINES:
        return "too_many_lines", f"The input file has more than {MOST_LINES} lines"
    return None
