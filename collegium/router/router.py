"""The router: from a query and the registered experts to a decision."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from math import inf
from typing import TYPE_CHECKING

from msgspec import structs

from collegium.errors import ArtifactRejected, ExpertError, NoFeasibleExpert
from collegium.registry.expert import Expert
from collegium.router.artifact import FittedRouter
from collegium.router.beliefs.promise import Promise
from collegium.router.choosing import Choice, Terms, chosen_among, doubted, lowered
from collegium.router.costs import Speeds
from collegium.router.decision import Decision, Forecast, Limits, Query
from collegium.router.eligibility import (
    IF_NEEDED,
    NOT_ELIGIBLE,
    Candidates,
    candidates,
    told_excluded,
)
from collegium.router.explaining import NOT_AVAILABLE, explained, of_conversation
from collegium.router.features import SurfaceEncoder
from collegium.router.forecasting import Forecaster, Reading, Waits
from collegium.router.limits import infeasible, mark, too_busy
from collegium.router.policy import Tolerances, quality, ranked, sooner
from collegium.router.promises import Promises
from collegium.router.reading import Reader
from collegium.router.shortlist import SIZE, Shortlist
from collegium.router.tokens import Tokens
from collegium.router.vectors import Encoder
from collegium.router.virtual_models import (
    BEST,
    CHEAP,
    VIRTUAL_MODELS,
    check_model,
    in_background,
    unobtrusive,
)

if TYPE_CHECKING:
    from collegium.router.online.learner import Learner

Availability = Callable[[Expert], ExpertError | None]


class Router:
    """Decides: reads the query, forecasts the experts, chooses within the limits.

    Requests, batches, `explain` and every evaluation decide by `decide` or `decide_on`.
    """

    def __init__(
        self,
        encoder: Encoder,
        fitted: FittedRouter,
        speeds: Speeds,
        *,
        shortlist: int = SIZE,
        learner: Learner | None = None,
        wait_penalty: float = 0.0,
        tokens: Tokens | None = None,
        version: str | None = None,
    ) -> None:
        if fitted.encoder != encoder.name:
            raise ArtifactRejected(
                f"the router was fitted on '{fitted.encoder}' embeddings, not '{encoder.name}' "
                "ones; choose another encoder or router_dir, or train a router with this encoder"
            )
        self.fitted = fitted
        self.version = version or version_of(fitted)
        self._learner = learner
        self._wait_penalty = wait_penalty
        self.forecaster = Forecaster(fitted, speeds, tokens)
        self._reader = Reader(encoder, self.forecaster)
        self._tolerances = Tolerances.of(fitted.card)
        self._promises = Promises(fitted)
        self._columns: tuple[Sequence[Expert], list[int | None]] | None = None
        skills = [str(name) for name in fitted.skills.classes_]
        self._shortlist = Shortlist(skills, shortlist)

    async def decide(
        self,
        query: Query,
        experts: Sequence[Expert],
        unavailable: Availability,
        waits: Waits | None = None,
    ) -> Decision:
        """Choose the expert; raise UnknownModel, NoFeasibleExpert, ExpertUnavailable or, if only
        the present load violates the limits, ExpertBusy.

        `waits` is given where engines take turns.
        """
        started = time.perf_counter()
        check_model(query, experts)
        read = await self._reader.read(query, by_parts=self._chooses_by_marks(query, experts))
        decision = self.decide_on(query, experts, read.reading, unavailable, waits)
        # A trade-off is a promise of the forecasts: learning keeps to the best quality.
        given_up = decision.tolerated or decision.price or decision.incumbent
        settled = query.history.cached_tokens or query.history.signs  # no turn to try another
        if self._learner and decision.policy == "quality" and not (given_up or settled):
            decision = self._learner.adjusted(decision, read.embedding)
        return replace(decision, overhead_ms=1000 * (time.perf_counter() - started))

    def learn_by(self, learner: Learner) -> None:
        """Correct decisions by what ratings teach."""
        self._learner = learner

    @property
    def encoder(self) -> Encoder:
        """The encoder of texts, without the features that only routing uses."""
        encoder = self._reader.encoder
        return encoder.inner if isinstance(encoder, SurfaceEncoder) else encoder

    def similarity(self, texts: Sequence[str]) -> list[list[float]]:
        """Cosine similarities of texts, shape (n, n); waits for its turn at the encoder."""
        return self._reader.similarity(texts)

    async def at_rest(
        self, decision: Decision, query: Query, experts: Sequence[Expert], waits: Waits | None
    ) -> Decision:
        """Return the decision with forecasts for idle experts.

        Of engines that take turns the wait stays as it is: there may be no room for all of them.
        """
        by_parts = self._chooses_by_marks(query, experts)  # as the decision was read
        reading = (await self._reader.read(query, by_parts=by_parts)).reading
        up = {f.expert for f in decision.forecasts if may_answer(f)}
        asked = [e for e in experts if e.name in up]
        idle = self.forecaster.forecast(asked, query, reading, waits, idle=True)
        idle = mark(lowered(query, doubted(asked, idle, reading)), query.limits)
        return replace(decision, forecasts=ranked(idle))

    def decide_on(
        self,
        query: Query,
        experts: Sequence[Expert],
        reading: Reading,
        unavailable: Availability,
        waits: Waits | None = None,
    ) -> Decision:
        """Decide without input or output: the same arguments give the same decision.

        If no expert that is known to have the needed capabilities can answer, those whose
        capabilities are unknown are tried.
        """
        query = unobtrusive(query)
        found = candidates(experts, query)
        for tier in range(1, len(found.tiers)):
            try:
                return self._among(found, tier, query, reading, unavailable, waits)
            except (NoFeasibleExpert, ExpertError):
                continue
        return self._among(found, len(found.tiers), query, reading, unavailable, waits)

    def _among(
        self,
        found: Candidates,
        tier: int,
        query: Query,
        reading: Reading,
        unavailable: Availability,
        waits: Waits | None,
    ) -> Decision:
        """The decision among the first tiers, with what is forecast of the others."""
        named = query.requested_model not in VIRTUAL_MODELS
        able: Sequence[Expert] = found.up_to(tier)
        tolerated, promise, incumbent = self._tolerated(query, able)
        budget, asked = query.price, query
        if promise is not None:
            query = replace(query, price=query.price + promise.price)
        penalty = self._penalty(query) if waits is not None else 0.0
        if not (named or penalty):  # else who is loaded may be anybody of the pool
            able = self._shortlist.of(able, query, reading, unavailable, tolerated, incumbent)
        marked = self._marked(able, query, reading, waits)
        down = {e.name: error for e in able if (error := unavailable(e)) is not None}
        forecasts = _without(marked, down)
        if named:
            choice = Choice(_named(query, forecasts, down), "named", forecasts)
            able = [e for e in able if e.name == query.requested_model]
        else:
            model = VIRTUAL_MODELS[CHEAP if in_background(query) else query.requested_model]
            lead = _lead(promise, budget)
            below = inf if promise is None or budget else promise.floor
            terms = Terms(tolerated, model, incumbent, lead, self._tolerances.most, below)
            choice = chosen_among(able, query, forecasts, terms)
            choice = self._sooner(choice, penalty)
        if choice.forecast is not None and choice.forecast.feasible:
            decision = _decision(query, reading, choice, promise)
            decision = replace(
                decision, tolerated=tolerated, price=query.price, router=self.version
            )
            return self._with_others(decision, found, tier, asked, reading, unavailable, waits)
        # Worth another try where one that fits is only down or busy.
        fitting = {f.expert for f in marked if f.feasible}
        waiting = (error for name, error in down.items() if name in fitting)
        up = [e for e in able if e.name not in down]
        idle = doubted(up, self.forecaster.forecast(up, query, reading, idle=True), reading)
        idle = lowered(query, idle)
        busy = too_busy(mark(idle, query.limits), forecasts, query.limits)
        refusal = _refusal(forecasts, query.limits, choice.forecast, told_excluded(found.excluded))
        raise next(waiting, None) or busy or refusal

    def _marked(
        self,
        experts: Sequence[Expert],
        query: Query,
        reading: Reading,
        waits: Waits | None,
    ) -> tuple[Forecast, ...]:
        """Return the forecasts, marked if they violate the request's limits."""
        found = self.forecaster.forecast(experts, query, reading, waits)
        return mark(lowered(query, doubted(experts, found, reading)), query.limits)

    def _with_others(
        self,
        decision: Decision,
        found: Candidates,
        tier: int,
        query: Query,
        reading: Reading,
        unavailable: Availability,
        waits: Waits | None,
    ) -> Decision:
        """The decision with those that are only asked if need be, and those that never are."""
        if tier == len(found.tiers) and not found.excluded:
            return decision
        others = list(islice(found.after(tier), SIZE))
        down = {e.name: error for e in others if (error := unavailable(e)) is not None}
        spare = _without(self._marked(others, query, reading, waits), down)
        excluded = dict((e.name, rule) for e, rule in found.excluded[:SIZE])
        never = self._marked([e for e, _ in found.excluded[:SIZE]], query, reading, waits)
        forecasts = (
            *decision.forecasts,
            *(_if_needed(f, found.notes[f.expert]) for f in spare),
            *(
                structs.replace(f, feasible=False, note=f"{NOT_ELIGIBLE}{excluded[f.expert]}")
                for f in ranked(never)
            ),
        )
        told = told_excluded(found.excluded)
        reason = f"{decision.reason} Left out: {told}." if told else decision.reason
        return replace(decision, forecasts=forecasts, reason=reason)

    def _tolerated(
        self, query: Query, experts: Sequence[Expert]
    ) -> tuple[float, Promise | None, str | None]:
        """Return the terms of the choice: the P(correct) that may be given up, or the promise and
        its incumbent.
        """
        model = VIRTUAL_MODELS.get(query.requested_model, BEST)
        if query.history.stuck(
            query.session_expert
        ):  # whoever takes over from an expert that is stuck has to be good
            return 0.0, None, None
        if query.limits.tradeoff is not None:
            return self._tolerances.at(query.limits.tradeoff, query.text), None, None
        if not model.most_loss:
            return 0.0, None, None
        found = self._promises.of(experts, self._columns_of(experts), model.most_loss)
        if found is None:
            return min(model.unmeasured, self._tolerances.most), None, None
        promise, best = found
        if best in query.lowered:  # whoever an alarm is open of may be the best one no more
            return 0.0, None, None
        return 0.0, promise, best

    def _chooses_by_marks(self, query: Query, experts: Sequence[Expert]) -> bool:
        """Return whether several of these experts have marks, so that the reading matters."""
        if query.requested_model not in VIRTUAL_MODELS:  # an expert is named
            return False
        return sum(column is not None for column in self._columns_of(experts)) > 1

    def _columns_of(self, experts: Sequence[Expert]) -> list[int | None]:
        """Return the experts' indices in the fitted router; those of the latest pool are cached."""
        if self._columns is None or self._columns[0] != experts:
            self._columns = experts, [self.forecaster.column(expert) for expert in experts]
        return self._columns[1]

    def _penalty(self, query: Query) -> float:
        """The P(correct) that a minute's wait is worth: the request's word before the service's."""
        asked = query.limits.wait_penalty
        return self._wait_penalty if asked is None else asked

    def _sooner(self, choice: Choice, penalty: float) -> Choice:
        """Return a faster expert, if a minute's wait is worth the difference in quality."""
        if choice.forecast is None or not penalty or choice.policy == "prior":
            return choice
        best = max(quality(f) for f in choice.forecasts if f.feasible)
        floor = best - self._tolerances.most
        taken = sooner(choice.forecasts, choice.forecast, penalty, floor)
        if taken is choice.forecast:
            return choice
        return Choice(taken, "waiting", choice.forecasts)


def version_of(fitted: FittedRouter) -> str:
    """Return the identity of a router from a folder: the hash of its arrays."""
    return f"sha-{str(fitted.card.get('arrays_sha256', 'unsaved'))[:12]}"


def _lead(promise: Promise | None, budget: float) -> float:
    """Return how far the best single expert is ahead of the others."""
    if promise is None:
        return 0.0
    # A budget that binds goes before: its price needs cheaper experts than the best one.
    return promise.lead if promise.kept or budget else inf


def _without(forecasts: tuple[Forecast, ...], down: dict[str, ExpertError]) -> tuple[Forecast, ...]:
    if not down:
        return forecasts
    return tuple(
        structs.replace(f, feasible=False, note=NOT_AVAILABLE) if f.expert in down else f
        for f in forecasts
    )


def _named(query: Query, forecasts: Sequence[Forecast], down: dict[str, ExpertError]) -> Forecast:
    name = query.requested_model
    if name in down:
        raise down[name]
    return next(f for f in forecasts if f.expert == name)


def _if_needed(forecast: Forecast, note: str) -> Forecast:
    return structs.replace(forecast, note=f"{IF_NEEDED}{note}") if forecast.feasible else forecast


def may_answer(forecast: Forecast) -> bool:
    """Whether an expert is up and no rule excludes it."""
    return forecast.note != NOT_AVAILABLE and not forecast.note.startswith(NOT_ELIGIBLE)


def _refusal(
    forecasts: Sequence[Forecast], limits: Limits, named: Forecast | None, excluded: str
) -> NoFeasibleExpert:
    if named is None:
        return infeasible(forecasts, limits, excluded)
    words = f"'{named.expert}' does not fit the limits: {named.note}"
    return NoFeasibleExpert(words, "routing")


def _decision(query: Query, reading: Reading, choice: Choice, promise: Promise | None) -> Decision:
    assert choice.forecast is not None
    return Decision(
        expert=choice.forecast.expert,
        policy=choice.policy,
        confidence=choice.forecast.quality or 0.0,
        reason=explained(query, reading, choice, promise),
        forecasts=ranked(choice.forecasts),
        skills=reading.skills,
        ood_score=reading.ood_score,
        requested_model=query.requested_model,
        application=query.application,
        incumbent=choice.incumbent,
        conversation=of_conversation(query, choice),
    )
