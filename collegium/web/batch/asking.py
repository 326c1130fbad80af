"""Ask the lines of a job: grouped by who answers, each group at its full batch, with patience."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

import msgspec

from collegium.errors import CollegiumError, ExpertTimeout, UnknownModel
from collegium.experts.bulk.crew import in_room, work_through
from collegium.experts.bulk.lines import Line
from collegium.experts.clients.events import Json
from collegium.experts.dispatch.in_flight import place_of
from collegium.registry.expert import Expert
from collegium.router.decision import Decision
from collegium.web.batch.affording import afforded
from collegium.web.batch.budgeting import Budgeting
from collegium.web.batch.ledger import Ledger
from collegium.web.batch.plan import prepared, request_of, waiting_for_engines
from collegium.web.errors import unexpected
from collegium.web.protocols.chat_answer import WholeChat, whole_answer
from collegium.web.protocols.chat_request import ChatRequest
from collegium.web.serving.decide import Decided, members_of
from collegium.web.serving.parts import Parts

if TYPE_CHECKING:
    from collegium.experts.residency.live import Residents

log = logging.getLogger(__name__)
Answered = Callable[[Line, str, Json], Awaitable[None]]
Refused = Callable[[Line, CollegiumError], Awaitable[None]]
Work = tuple[Line, Decision]
TRIES = 8
PANELS = "collegium/panels"
"""The group of lines that several experts answer, wherever those are."""
LONGEST_WAIT_S = 30.0


class Asking:
    """Asks lines and hands each result on once; an expert that is down is waited for."""

    def __init__(
        self,
        parts: Parts,
        ledger: Ledger,
        budgeting: Budgeting,
        answered: Answered,
        refused: Refused,
        *,
        owner: str = "",
    ) -> None:
        self._parts = parts
        self._ledger = ledger
        self._budgeting = budgeting
        self._answered = answered
        self._refused = refused
        self._owner = owner
        self._experts: dict[str, Expert] = {}
        self._given_up: set[str] = set()

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
        """As many engines as fit at once, in the order that ends first."""
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
        """What a group's answers are forecast to take at the engine's full batch."""
        return sum(d.forecast.latency_ms for _, d in work) / 1000 / self._at_once(place)

    def _at_once(self, place: str) -> int:
        engine = self._parts.fleet.get(place)
        if engine is not None:
            return engine.spec.max_sequences
        return self._parts.settings.bulk_lines_at_once

    async def _group(self, place: str, work: Sequence[Work]) -> None:
        """All lines of one place, one expert after the other: few adapters share a batch."""
        engine, residents = self._parts.fleet.get(place), self._parts.fleet.residents
        if engine is not None and (residents is None or place not in residents):
            await engine.wait_ready()
        by_expert = sorted(work, key=lambda item: (item[1].expert, item[0].number))
        await work_through(by_expert, self._one, at_once=self._at_once(place))

    async def _one(self, item: Work) -> None:
        line, decision = item
        if self._budgeting.is_behind:
            return
        try:
            decided, body = await self._tried(line, decision)
        except OSError:  # the disk: the whole job waits for it
            raise
        except CollegiumError as exc:
            self._budgeting.failed(line.number)
            await self._refused(line, exc)
        except Exception:  # the outermost handler of a line: the others go on
            log.exception("line %d of a bulk job failed", line.number)
            await self._refused(line, unexpected())
        else:
            self._budgeting.answered(line.number, decided.decision.expert)
            await self._answered(line, decided.decision.id, body)

    async def _tried(self, line: Line, decision: Decision) -> tuple[Decided, Json]:
        """Ask, and ask again after a failure that may pass; nobody waits twice for a dead place.

        Returns what was decided and the answer's body.
        """
        request = request_of(line.body)
        decided = await self._decided(request, decision)
        place = PANELS if decision.policy == "panel" else place_of(self._experts[decision.expert])
        for attempt in count(1):
            payable = await afforded(
                self._parts, self._ledger, self._budgeting, line.number, decided
            )
            if attempt == 1 or payable.decision.expert != decided.decision.expert:
                await self._parts.pipeline.record(payable)
            try:
                body = await self._paid(line, request, payable)
            except CollegiumError as exc:
                if not may_pass(exc):
                    raise
                if attempt == TRIES or place in self._given_up:
                    self._given_up.add(place)
                    raise
                await asyncio.sleep(min((exc.retry_after_s or 1) * attempt, LONGEST_WAIT_S))
            else:
                self._given_up.discard(place)
                return payable, body
        raise AssertionError("unreachable")

    async def _paid(self, line: Line, request: ChatRequest, decided: Decided) -> Json:
        """Ask once, and settle what was reserved on every way out."""
        cost: float | None = None
        try:
            answer = WholeChat(decided, request)
            found = await whole_answer(answer, self._parts.pipeline.run(decided))
            body: Json = msgspec.to_builtins(found)
            cost = body["collegium"]["outcome"]["cost_usd"]
        except ExpertTimeout:  # what it wrote until then may be billed
            raise
        except CollegiumError:
            cost = None if decided.by_panel else 0.0
            raise
        finally:
            await self._ledger.settle(line.number, cost)
        return body

    async def _decided(self, request: ChatRequest, decision: Decision) -> Decided:
        """As it was decided. A panel is planned anew: only its cost was kept."""
        parts, line = self._parts, prepared(request, self._owner)
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


def may_pass(error: CollegiumError) -> bool:
    """Whether the same request may succeed later."""
    overloaded = error.http_status == 429
    return error.retry_after_s is not None or overloaded or isinstance(error, ExpertTimeout)
