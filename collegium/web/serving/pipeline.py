"""The path of every request: decide, record, ask, account for it.

Routes call `begin` and consume the events of `run`; batches decide all their lines first, and write
each decision down when its turn comes. What must see every request goes here: guards of requests
into `decide`, guards of answers into `run`. The response cache is asked in `record`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from collegium.errors import BudgetReached, CollegiumError, LimitReached
from collegium.experts.aggregation.events import Event
from collegium.experts.tracing import CURRENT
from collegium.router.virtual_models import VIRTUAL_MODELS
from collegium.web.protocols.chat_request import panel_models
from collegium.web.request_id import DECISION
from collegium.web.serving.accounts import Accounts
from collegium.web.serving.budgets import Budgets
from collegium.web.serving.decide import Decided, Decider, application_of
from collegium.web.serving.hold import Together
from collegium.web.serving.metrics import Metrics
from collegium.web.serving.outcome import Outcome, Settled
from collegium.web.serving.prepare import Prepared
from collegium.web.serving.recording import Recorder
from collegium.web.serving.sessions import Sessions
from collegium.web.serving.shadow import Shadow

if TYPE_CHECKING:
    from collegium.router.router import Availability
    from collegium.web.serving.response_cache import ResponseCache


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
        budgets: Budgets,
        cache: ResponseCache | None = None,
    ) -> None:
        self._cache = cache
        self._decider = decider
        self._recorder = recorder
        self._sessions = sessions
        self._accounts = accounts
        self._metrics = metrics
        self._shadow = shadow
        self._budgets = budgets

    async def begin(self, request: Prepared) -> Decided:
        """Decide, reserve what the answer may take, and write the decision down.

        Where too little money is left for the expert that was chosen, one that it pays for answers.
        """
        decided = await self.decide(request)
        try:
            return await self.record(decided)
        except BudgetReached as reached:
            return await self.record(await self._cheaper(request, reached))

    async def _cheaper(self, request: Prepared, reached: BudgetReached) -> Decided:
        """Decide again within what is left of the budget."""
        own, left = request.query.limits.max_cost_usd, reached.left_usd
        model = request.query.requested_model
        if not left or not (model in VIRTUAL_MODELS or model in panel_models()):
            raise reached
        most = left if own is None else min(own, left)
        limits = replace(request.query.limits, max_cost_usd=most)
        try:
            decided = await self.decide(
                replace(request, query=replace(request.query, limits=limits))
            )
        except CollegiumError:
            raise reached from None
        why = f"{decided.decision.reason} Little is left of a budget: {left:.9g} USD."
        return replace(decided, decision=replace(decided.decision, reason=why))

    async def decide(self, request: Prepared, unavailable: Availability | None = None) -> Decided:
        """Choose who answers, as `Decider.decide` does. Every request passes here once."""
        with CURRENT.get().child("route", request.query) as span:
            decided = await self._decider.decide(request, unavailable)
            span.add(decided.decision)
        return decided

    async def record(self, decided: Decided, *, reserve: bool = True) -> Decided:
        """Reserve what the answer may take, and write the decision down: both outlive a crash.

        An answer that the response cache has takes nothing but a request. Raises `LimitReached`
        where a limit does not allow it. What is returned is to be run. `reserve` is false for what
        was `reserved` together with others.
        """
        if self._cache is not None:
            decided = await self._cache.look_up(decided)
        if reserve:
            decided = await self._budgets.reserve(decided)
        try:
            await self._recorder.decision(decided)
        except BaseException:  # also when cancelled: nothing will be asked
            if decided.hold is not None:
                await self._budgets.release(decided.hold)
            raise
        request, decision = decided.request, decided.decision
        DECISION.set(decision.id)
        if not decided.by_panel:
            kept = await self._sessions.keep(request, request.query, decision.expert, decided.kept)
            decided = replace(decided, kept=kept)
        self._metrics.decided(decision, CURRENT.get().trace_id)
        self._shadow.follow(decided)
        return decided

    @asynccontextmanager
    async def reserved(self, asked: Sequence[Decided]) -> AsyncGenerator[Sequence[Decided]]:
        """Reserve for several answers to one request, to be recorded and run; or refuse them all.

        Together they are one request in flight. What was not asked is released on the way out.
        """
        first, held, together = asked[0], list[Decided](), Together(len(asked))
        application = application_of(first)
        whole = self._budgets.admitted(
            first.request.caller, application=application, metrics=("parallel",)
        )
        async with whole:
            try:
                for each in asked:
                    held.append(await self._budgets.reserve(each, together))
                    if (hold := held[-1].hold) is not None:
                        hold.waits = True
                yield held
            except LimitReached as exc:
                if len(held) < len(asked):
                    none = f"none of the request's {len(asked)} prompts was asked: send fewer"
                    exc.args = (f"{exc}; {none}",)
                raise
            finally:
                for each in held:
                    if each.hold is not None and not each.hold.asked:
                        await self._budgets.release(each.hold)

    async def run(
        self, decided: Decided, began: Callable[[Outcome], None] | None = None
    ) -> AsyncGenerator[Event | Settled]:
        """Run a decision and yield the answer's events; the last one contains its usage.

        `began` is given the outcome at first, for who wants to know what a failure cost. Closing
        the generator cancels every call. Failures are raised, after they are settled.
        """
        asked, replayed = decided.request.body, decided.from_cache
        copy = None if self._cache is None else self._cache.copy_of(decided)
        with self._accounts.outcome(decided) as outcome:
            if began is not None:
                began(outcome)
            async with aclosing(decided.mode.run(decided.panel, asked, outcome.ask)) as events:
                async for event in events:
                    if decided.by_panel:
                        outcome.saw(event)
                    elif replayed:
                        outcome.replayed(event)
                    if copy is not None:
                        copy.take(event)
                    if outcome.fold is not None:
                        outcome.fold.take(event)
                    yield event  # guards of answers go before this line
        if self._cache is not None and copy is not None:
            self._cache.keep(decided, outcome, copy)
        if decided.kept is not None and not replayed:
            answered_by, usage = outcome.answered_by, outcome.usage
            await self._sessions.answered(decided.request, decided.kept, answered_by, usage)
        yield Settled(outcome)
