"""Panels that write a new answer, run on replayed answers: only the aggregator is asked."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from collegium.errors import BadRequest, BudgetExhausted, CollegiumError
from collegium.experts.aggregation.base import Member, Panel
from collegium.experts.aggregation.catalogue import make_mode, mode_kind
from collegium.experts.aggregation.events import PanelEvent
from collegium.experts.aggregation.options import Options
from collegium.experts.clients.counting import prompt_tokens
from collegium.experts.clients.events import AnswerEvent
from collegium.experts.clients.openai_shape import message_events
from collegium.experts.clients.reply import Call, Fold, Reply
from collegium.experts.pricing import price_of as price_of_usage
from collegium.registry.expert import Expert
from collegium.registry.learning.runs import LearningAnswer, LearningPrompt
from collegium.router.decision import Query
from collegium.router.learning.panels import panel_name, panel_seal
from collegium.web.learning.asking import TERMS, bounded, used
from collegium.web.learning.costs import price_of
from collegium.web.learning.spending import Spending
from collegium.web.serving.parts import Parts

SEATS = 3
MOST = 200
"""Prompts on which a panel is tried: the margin of its gain is about 7 points then."""


def require_writing(modes: Iterable[str], pool: Sequence[Expert]) -> None:
    """BadRequest for a mode that does not write its answer from other experts' answers, and for
    fewer experts than a panel has members.

    Panels that choose among answers are judged without being asked for, and several samples of one
    expert are not in a replay.
    """
    if len(pool) < SEATS:
        raise BadRequest(f"A panel needs {SEATS} experts, and this run has {len(pool)}", "panels")
    for name in modes:
        kind = mode_kind(name)
        if not kind.combines or kind.one_expert:
            raise BadRequest(
                f"'{name}' can't be tried on replayed answers: give modes in which an aggregator "
                "writes the answer from several experts', such as moa",
                "panels",
            )


def panel_usd(
    parts: Parts, able: Sequence[Expert], query: Query, modes: Sequence[str]
) -> float | None:
    """Dollars of the dearest aggregator's answers to a prompt; None where a price is unknown."""
    prices = [price_of(parts.tokens, e, query) for e in able]
    longest = max((price.tokens for price in prices), default=0)
    shown = replace(query, prompt_tokens=(query.prompt_tokens or 1) + SEATS * longest)
    writing = [price_of(parts.tokens, e, shown).usd for e in able]
    known = [usd for usd in writing if usd is not None]
    return len(modes) * max(known) if len(known) == len(writing) and known else None


@dataclass(frozen=True)
class ReplayedPanel:
    """One mode with its members, best first; the first is the aggregator."""

    parts: Parts
    spending: Spending
    mode: str
    members: tuple[Expert, ...]
    chances: Mapping[str, float]
    """The members' shares of right answers, as an aggregator is told them; empty: not known."""

    @property
    def name(self) -> str:
        """What its answers are kept under."""
        return panel_name(self.mode)

    async def answer(
        self, prompt: LearningPrompt, query: Query, given: Mapping[str, LearningAnswer]
    ) -> LearningAnswer | None:
        """The panel's answer to a prompt that all members answered; None where the budget ends.

        Its cost is that of the members' answers and of the aggregator's.
        """
        playing = _Playing(self, prompt, query, given)
        members = tuple(Member(e, self.chances.get(e.name)) for e in self.members)
        panel = Panel(members, members[0], seed=prompt.number, stream=False)
        fold, started = Fold(), time.perf_counter()
        message: dict[str, Any] | None = None
        error: str | None = None
        try:
            async for event in make_mode(self.mode, Options()).run(
                panel, prompt.request, playing.ask
            ):
                if not isinstance(event, PanelEvent):
                    fold.take(event)
            message = dict(fold.answer().choices[0]["message"])
        except CollegiumError as exc:
            error = str(exc)
        if playing.out_of_budget:
            return None
        shared = [given[e.name] for e in self.members]
        return LearningAnswer(
            prompt.run_id,
            prompt.number,
            self.name,
            panel_seal(self.mode, [e.name for e in self.members]),
            message,
            error=error,
            prompt_tokens=playing.read,
            completion_tokens=playing.written,
            cost_usd=playing.usd + sum(a.cost_usd or 0.0 for a in shared),
            latency_ms=1000 * (time.perf_counter() - started)
            + max(a.latency_ms or 0.0 for a in shared),
        )


class _Playing:
    """Members say what they said in the replay; whoever else is asked is paid for."""

    def __init__(
        self,
        panel: ReplayedPanel,
        prompt: LearningPrompt,
        query: Query,
        given: Mapping[str, LearningAnswer],
    ) -> None:
        self.usd = 0.0
        self.read = self.written = 0
        self.out_of_budget = False
        self._panel = panel
        self._prompt = prompt
        self._query = query
        self._given = given

    @asynccontextmanager
    async def ask(self, call: Call) -> AsyncGenerator[Reply]:
        """A member's replayed answer, or a call to the pool within the run's budget."""
        if call.role == "member":
            message = self._given[call.expert.name].answer or {}
            yield Reply(_events(message), streamed=False)
            return
        parts, spending = self._panel.parts, self._panel.spending
        query = replace(self._query, prompt_tokens=prompt_tokens(call.body))
        price = price_of(parts.tokens, call.expert, query)
        cell = self._prompt.number, f"{self._panel.name} {call.seat}"
        if not await spending.reserve(cell, call.expert.name, price.most_usd or 0.0):
            self.out_of_budget = True
            raise BudgetExhausted("the run's budget leaves nothing for panels")
        most = None if spending.budget is None else price.most_tokens
        call = replace(call, body=bounded(call.body, call.expert, most), stream=False)
        cost = None
        try:
            async with parts.pool.ask(call, TERMS) as reply:
                yield reply
            taken = used(call, reply.usage, reply.text)
            cost = price_of_usage(call.expert, taken)
            parts.metrics.called(call.expert.name, taken, cost)
            self.usd += cost or 0.0
            self.read, self.written = self.read + taken.input, self.written + taken.output
        finally:
            spending.settle(cell, cost)


async def _events(message: Mapping[str, Any]) -> AsyncIterator[AnswerEvent]:
    for event in message_events({"message": message, "finish_reason": "stop"}):
        yield event
