"""The way of every request: decide, write it down, ask, account for it.

Routes call `begin` and consume the events of `run`; batches decide all their lines first, and write
each decision down when its turn comes. What must see every request goes here: guards of requests
and a cache into `decide`, guards of answers into `run`, budgets into `Accounts.outcome`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING

from collegium.experts.aggregation.events import Event
from collegium.web.serving.decide import Decided, Decider
from collegium.web.serving.metrics import Metrics
from collegium.web.serving.outcome import Accounts, Settled
from collegium.web.serving.prepare import Prepared
from collegium.web.serving.recording import Recorder
from collegium.web.serving.sessions import Sessions
from collegium.web.serving.shadow import Shadow

if TYPE_CHECKING:
    from collegium.router.router import Availability


class Pipeline:
    """Answers prepared requests."""

    def __init__(
        self,
        decider: Decider,
        recorder: Recorder,
        sessions: Sessions,
        accounts: Accounts,
        metrics: Metrics,
        shadow: Shadow,
    ) -> None:
        self._decider = decider
        self._recorder = recorder
        self._sessions = sessions
        self._accounts = accounts
        self._metrics = metrics
        self._shadow = shadow

    async def begin(self, request: Prepared) -> Decided:
        """Decide, and write the decision down."""
        decided = await self.decide(request)
        await self.record(decided)
        return decided

    async def decide(self, request: Prepared, unavailable: Availability | None = None) -> Decided:
        """Choose who answers, as `Decider.decide` does. Every request passes here once."""
        return await self._decider.decide(request, unavailable)

    async def record(self, decided: Decided) -> None:
        """Write a decision down before anything is asked: it outlives a crash."""
        request, decision = decided.request, decided.decision
        await self._recorder.decision(decided)
        if not decided.by_panel:
            await self._sessions.keep(request.owner, request.session, decision.expert)
        self._metrics.decided(decision)
        self._shadow.follow(decided)

    async def run(self, decided: Decided) -> AsyncGenerator[Event | Settled]:
        """Ask, and yield the answer's events; the last one says what it took.

        Closing the generator cancels every call. Failures are raised, after they are settled.
        """
        asked = decided.request.body
        with self._accounts.outcome(decided) as outcome:
            async with aclosing(decided.mode.run(decided.panel, asked, outcome.ask)) as events:
                async for event in events:
                    if decided.by_panel:
                        outcome.saw(event)
                    if outcome.fold is not None:
                        outcome.fold.take(event)
                    yield event  # guards of answers go before this line
        yield Settled(outcome)
