"""Ask the lines of a job, grouped by expert, each group at its engine's full batch size."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

import msgspec

from collegium.errors import (
    CollegiumError,
    DatabaseUnavailable,
    ExpertTimeout,
    LeaseLost,
    LimitReached,
    UnknownModel,
)
from collegium.experts.bulk.crew import in_room, work_through
from collegium.experts.bulk.lines import Line
from collegium.experts.clients.events import Json
from collegium.experts.dispatch.in_flight import place_of
from collegium.experts.tracing import Span, within
from collegium.registry.bulk.batches import BatchRecord
from collegium.registry.expert import Expert
from collegium.router.decision import Decision
from collegium.web.batch.affording import afforded
from collegium.web.batch.budgeting import Budgeting
from collegium.web.batch.ledger import Ledger
from collegium.web.batch.plan import parsed_of, prepared, waiting_for_engines
from collegium.web.errors import unexpected
from collegium.web.protocols.chat_request import ChatRequest
from collegium.web.protocols.protocol import Parsed, whole_answer
from collegium.web.request_id import DECISION
from collegium.web.serving.decide import Decided, members_of
from collegium.web.serving.outcome import Outcome
from collegium.web.serving.parts import Parts

if TYPE_CHECKING:
    from collegium.experts.residency.live import Residents

log = logging.getLogger(__name__)
Answered = Callable[[Line, str, Json], Awaitable[None]]
Refused = Callable[[Line, CollegiumError], Awaitable[None]]
Work = tuple[Line, Decision]
TRIES = 8
PANELS = "collegium/panels"
"""The group of lines that several experts answer."""
LONGEST_WAIT_S = 30.0
PAUSE_S = 5.0
"""Seconds between two attempts of a line that waits for a budget or a limit of its owner."""


class Asking:
    """Asks lines and hands each result on once; an expert that is down is waited for."""

    def __init__(
        self,
        parts: Parts,
        ledger: Ledger,
        budgeting: Budgeting,
        answered: Answered,
        refused: Refused,
        job: BatchRecord,
        waiting: dict[int, LimitReached],
    ) -> None:
        """`waiting` is told the lines that wait for a limit of their owner, and for which one."""
        self._parts = parts
        self._ledger = ledger
        self._budgeting = budgeting
        self._answered = answered
        self._refused = refused
        self._job = job
        self._waiting = waiting
        self._experts: dict[str, Expert] = {}
        self._given_up: set[str] = set()
        self._paused = False
        """Whether a limit has made a line wait, which the log says once as a warning."""

    async def ask(self, work: Sequence[Work]) -> None:
        """Return when every line has its result, or the rest must be planned anew."""
        self._experts = {e.name: e for e in await self._parts.catalogue.now()}
        groups: dict[str, list[Work]] = defaultdict(list)
        for line, decision in work:
            if decision.policy == "panel":
                groups[PANELS].append((line, decision))
                continue
            expert = self._experts.get(decision.expert)
            if expert is None or not expert.enabled:
                message = f"The expert '{decision.expert}' was removed or disabled meanwhile"
                await self._refused(line, UnknownModel(message, "model"))
                continue
            groups[place_of(expert)].append((line, decision))
        residents = self._parts.fleet.residents
        turns = [place for place in groups if residents is not None and place in residents]
        at_once = [self._group(p, items) for p, items in groups.items() if p not in turns]
        if residents is not None and turns:
            at_once.append(self._in_turn(residents, {p: groups[p] for p in turns}))
        await asyncio.gather(*at_once)

    async def _in_turn(self, residents: Residents, groups: Mapping[str, Sequence[Work]]) -> None:
        """Order the groups so that as many engines as fit run at once and the job ends soonest."""
        from collegium.experts.bulk.order import Group, best_schedule

        sized = [
            Group(place, self._seconds(place, items), cost.load_s, cost.memory_gib)
            for place, items in groups.items()
            for cost in (residents.costs[place],)
        ]
        order = best_schedule(sized, residents.budget_gib, residents.resident).order
        memory = {group.name: group.memory_gib for group in sized}
        work = [(memory[place], partial(self._group, place, groups[place])) for place in order]
        await in_room(work, residents.budget_gib)

    def _seconds(self, place: str, work: Sequence[Work]) -> float:
        """Return the forecast duration of a group's answers at the engine's full batch size."""
        return sum(d.forecast.latency_ms for _, d in work) / 1000 / self._at_once(place)

    def _at_once(self, place: str) -> int:
        engine = self._parts.fleet.get(place)
        if engine is not None:
            # Those that wait make an engine with replicas grow; the queue must hold them.
            waiting = min(engine.most_slots - engine.slots, self._parts.settings.queue_depth // 2)
            return max(engine.slots, engine.spec.max_sequences) + waiting
        return self._parts.settings.bulk_lines_at_once

    async def _group(self, place: str, work: Sequence[Work]) -> None:
        """Group the lines by engine, and sort each group by expert so that few adapters share a
        batch.
        """
        engine, residents = self._parts.fleet.get(place), self._parts.fleet.residents
        if engine is not None and (residents is None or place not in residents):
            await engine.wait_ready()
        by_expert = sorted(work, key=lambda item: (item[1].expert, item[0].number))
        await work_through(by_expert, self._one, at_once=self._at_once(place))

    async def _one(self, item: Work) -> None:
        if self._budgeting.is_behind:
            return
        DECISION.set("")
        with within(self._parts.telemetry.root("batch line", item[0])) as span:
            span.add(self._job)
            await self._to_its_end(item, span)

    async def _to_its_end(self, item: Work, span: Span) -> None:
        line, decision = item
        try:
            decided, body = await self._tried(line, decision)
        except (DatabaseUnavailable, LeaseLost):  # the whole job waits, or goes on elsewhere
            raise
        except CollegiumError as exc:
            self._budgeting.failed(line.number)
            span.fail(exc)
            await self._refused(line, exc)
        except Exception as exc:  # the outermost handler of a line: the others go on
            span.fail(exc)
            log.exception("line %d of a bulk job failed", line.number)
            await self._refused(line, unexpected())
        else:
            self._budgeting.answered(line.number, decided.decision.expert)
            await self._answered(line, decided.decision.id, body)

    async def _tried(self, line: Line, decision: Decision) -> tuple[Decided, Json]:
        """Ask, and retry after transient failures; a dead endpoint is waited for only once.

        Returns what was decided and the answer's body.
        """
        parsed = parsed_of(line)
        decided = await self._decided(parsed.chat, decision)
        place = PANELS if decision.policy == "panel" else place_of(self._experts[decision.expert])
        tries = TRIES
        for attempt in count(1):
            payable = await afforded(
                self._parts, self._ledger, self._budgeting, line.number, decided
            )
            payable = _as_new(payable, attempt)
            try:
                body = await self._paid(line, parsed, payable)
            except LimitReached as exc:  # the job pauses, until there is money or its time is over
                tries += 1
                told = log.info if self._paused else log.warning
                told("the bulk job %s waits at line %d: %s", self._job.id, line.number, exc)
                self._paused = True
                self._waiting[line.number] = exc
                await asyncio.sleep(min(exc.retry_after_s or PAUSE_S, PAUSE_S))
            except CollegiumError as exc:
                if not may_pass(exc):
                    raise
                if attempt == tries or place in self._given_up:
                    self._given_up.add(place)
                    raise
                await asyncio.sleep(min((exc.retry_after_s or 1) * attempt, LONGEST_WAIT_S))
            else:
                self._given_up.discard(place)
                return payable, body
        raise AssertionError("unreachable")

    async def _paid(self, line: Line, parsed: Parsed, decided: Decided) -> Json:
        """Ask once, and settle what was reserved on every way out."""
        cost: float | None = None
        outcomes: list[Outcome] = []
        try:
            recorded = await self._parts.pipeline.record(decided)
            events = self._parts.pipeline.run(recorded, outcomes.append)
            found, outcome = await whole_answer(parsed.whole(decided), events)
            body: Json = msgspec.to_builtins(found)
            cost = outcome.shown["cost_usd"]
        except ExpertTimeout:  # what it wrote until then may be billed
            raise
        except CollegiumError:
            cost = 0.0 if not outcomes else None if decided.by_panel else outcomes[0].spent_usd
            raise
        finally:
            await self._ledger.settle(line.number, cost)
        return body

    async def _decided(self, request: ChatRequest, decision: Decision) -> Decided:
        """Return the line as it was decided. A panel is planned again: only its cost was stored."""
        parts, line = self._parts, prepared(request, self._parts.callers.named(self._job.owner))
        line = replace(line, in_dollars=self._budgeting.in_dollars)
        if decision.policy != "panel":
            return await parts.decider.as_decided(line, decision)
        await self._parts.router.wait()  # a job that goes on after a restart may come before it
        decided = await parts.pipeline.decide(line, waiting_for_engines(parts.fleet))
        if decided.by_panel:
            await self._members_ready(decided)
        return decided

    async def _members_ready(self, decided: Decided) -> None:
        """Engines that take turns are loaded when they are asked; the others are waited for."""
        residents = self._parts.fleet.residents
        for expert in members_of(decided):
            engine = self._parts.fleet.get(expert.engine or "")
            if engine is not None and (residents is None or expert.engine not in residents):
                await engine.wait_ready()


def _as_new(decided: Decided, attempt: int) -> Decided:
    """A further attempt under an id of its own: the log keeps what each of them took."""
    if attempt == 1:
        return decided
    decision = replace(decided.decision, id=f"dec_{secrets.token_hex(12)}")
    return replace(decided, decision=decision)


def may_pass(error: CollegiumError) -> bool:
    """Whether the same request may succeed later."""
    overloaded = error.http_status == 429
    return error.retry_after_s is not None or overloaded or isinstance(error, ExpertTimeout)
