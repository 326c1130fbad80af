"""Who answers which line of a job: decided for all lines together, kept, read again."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from collegium.errors import BadRequest, CollegiumError, ExpertUnavailable, NoFeasibleExpert
from collegium.experts.bulk.lines import Line
from collegium.experts.dispatch.terms import Terms
from collegium.experts.fleet import Fleet
from collegium.registry.expert import Expert
from collegium.registry.key import NOBODY, Caller
from collegium.router.assignment import JobLimits, assign_job
from collegium.router.decision import Decision, Forecast, Query
from collegium.router.limits import STATE_PRICES
from collegium.web.errors import LONGEST_MESSAGE
from collegium.web.lean_route import MOST_ERRORS
from collegium.web.protocols.chat_request import ChatRequest
from collegium.web.protocols.endpoints import READERS
from collegium.web.protocols.protocol import Parsed
from collegium.web.serving.pipeline import Pipeline
from collegium.web.serving.prepare import Prepared, prepare
from collegium.web.wording import problems_in_words

if TYPE_CHECKING:
    from collegium.router.router import Availability

Array = NDArray[np.float64]
AT_ONCE = 16
"""Lines that are read together: the encoder takes them in one pass."""
BY_PRICE, BY_QUALITY = 1e-6, 1e-9
"""Among experts that are good enough the cheaper one, among equally cheap ones the better one."""

MOST_HEADROOM = 0.25
"""The largest share of a budget kept free: one expensive line is not worth giving up the others."""


@dataclass(frozen=True)
class Plan:
    """The decisions of all lines that can be asked, and why the others can't, by line number."""

    decisions: Mapping[int, Decision]
    refusals: Mapping[int, CollegiumError]


async def make_plan(
    pipeline: Pipeline,
    fleet: Fleet,
    lines: Sequence[Line],
    limits: JobLimits,
    *,
    caller: Caller = NOBODY,
    or_cheapest: bool = False,
) -> Plan:
    """Decide each line, then all lines together; NoFeasibleExpert when the job's limits bind, or
    each line's cheapest expert.
    """
    available = waiting_for_engines(fleet)
    decided: dict[int, tuple[Query, Decision]] = {}
    refusals: dict[int, CollegiumError] = {}

    async def decide(line: Line) -> None:
        try:
            chat, in_dollars = parsed_of(line).chat, limits.budget_usd is not None
            request = replace(prepared(chat, caller), in_dollars=in_dollars)
            found = await pipeline.decide(request, available)
            decided[line.number] = request.query, found.decision
        except CollegiumError as exc:
            refusals[line.number] = exc

    for start in range(0, len(lines), AT_ONCE):
        await asyncio.gather(*map(decide, lines[start : start + AT_ONCE]))
        await asyncio.sleep(0)  # requests of people come in between
    decided = dict(sorted(decided.items()))  # the same job gets the same plan
    tolerated = {n: decision.tolerated for n, (_, decision) in decided.items()}
    decisions = {n: decision for n, (_, decision) in decided.items()}
    joint = await asyncio.to_thread(jointly, decisions, tolerated, limits, or_cheapest=or_cheapest)
    return Plan(joint, refusals)


def waiting_for_engines(fleet: Fleet) -> Availability:
    """Whether a line has to wait: local engines that are starting will be ready, others may never
    be.
    """

    def unavailable(expert: Expert) -> ExpertUnavailable | None:
        if expert.engine is None or expert.engine in fleet:
            return None
        return ExpertUnavailable(expert.name, f"its engine '{expert.engine}' is not run here")

    return unavailable


def prepared(request: ChatRequest, caller: Caller) -> Prepared:
    """A line as if its job's owner had sent it, at lower priority than interactive requests."""
    terms = Terms(caller=caller.owner or "bulk", priority="background")
    return prepare(request, terms, caller=caller)


def parsed_of(line: Line) -> Parsed:
    """Return a line's body, validated; raise BadRequest if the API would refuse it."""
    try:
        parsed = READERS[line.endpoint](line.body)
    except ValidationError as exc:
        raise BadRequest(_problems(exc), "body") from exc
    if parsed.chat.stream:
        raise BadRequest("stream can't be used in a batch", "stream")
    return parsed


def _problems(exc: ValidationError) -> str:
    """Describe what is wrong with a body; if there are many problems, the rest are only counted."""
    if exc.error_count() > MOST_ERRORS:
        return f"the body has {exc.error_count()} problems"
    found = problems_in_words(exc.errors(), ChatRequest)
    return "; ".join(f"{where} {what}" for where, what in found.items())[:LONGEST_MESSAGE]


def jointly(
    decisions: Mapping[int, Decision],
    tolerated: Mapping[int, float],
    limits: JobLimits,
    *,
    or_cheapest: bool = False,
) -> dict[int, Decision]:
    """Reassign lines between experts so that the job's limits hold at the least loss of quality."""
    if not decisions or limits == JobLimits():
        return dict(decisions)
    names = sorted({f.expert for d in decisions.values() for f in d.forecasts})
    column = {name: index for index, name in enumerate(names)}
    value = np.full((len(decisions), len(names)), np.nan)
    cost = np.full_like(value, np.nan)
    known = [f.cost_usd or 0.0 for d in decisions.values() for f in d.forecasts]
    dearest = max(known, default=0.0) or 1.0
    unknown = dearest if limits.budget_usd is None else np.nan  # a budget refuses them
    for row, (number, decision) in enumerate(decisions.items()):
        for forecast, worth in _worths(decision, tolerated[number], dearest):
            price = unknown if forecast.cost_usd is None else forecast.cost_usd
            value[row, column[forecast.expert]] = worth
            cost[row, column[forecast.expert]] = price
        if np.isnan(cost[row]).all():
            raise NoFeasibleExpert(
                f"Line {number} can only go to experts of unknown price, which the job's "
                f"max_cost_usd refuses{STATE_PRICES}",
                "routing",
            )
    try:
        chosen = _assigned(value, cost, names, limits, _headroom(decisions))
    except NoFeasibleExpert:
        if not or_cheapest:
            raise
        chosen = np.where(np.isnan(cost), np.inf, cost).argmin(axis=1)
    return {
        number: _moved(decision, names[chosen[row]])
        for row, (number, decision) in enumerate(decisions.items())
    }


def _headroom(decisions: Mapping[int, Decision]) -> float:
    """Return what the last lines may cost beyond the mean, so that they can be paid for, too."""
    chosen = [decision.forecast for decision in decisions.values()]
    return max(max((f.most_usd or 0.0) - (f.cost_usd or 0.0), 0.0) for f in chosen)


def _assigned(
    value: Array, cost: Array, names: list[str], limits: JobLimits, headroom: float
) -> NDArray[np.intp]:
    """Assign the lines, keeping the headroom free if the budget allows it."""
    if limits.budget_usd is not None:
        free = min(headroom, MOST_HEADROOM * limits.budget_usd)
        kept = replace(limits, budget_usd=limits.budget_usd - free)
        with contextlib.suppress(NoFeasibleExpert):
            return assign_job(value, cost, names, kept).experts
    return assign_job(value, cost, names, limits).experts


def _worths(
    decision: Decision, tolerated: float, dearest: float
) -> Iterator[tuple[Forecast, float]]:
    """The value of each eligible expert; a choice that is not about quality stays as it is."""
    if decision.policy != "quality":
        chosen = decision.forecast
        yield chosen, chosen.quality or 0.0
        return
    able = [f for f in decision.forecasts if f.feasible and f.quality is not None and not f.note]
    worth = _worth(able, decision.price)
    enough = max(worth.values()) - tolerated
    for forecast in able:
        level = worth[forecast.expert]
        price = 2.0 if forecast.cost_usd is None else forecast.cost_usd / dearest
        if decision.incumbent and forecast.expert == decision.expert:
            level, price = enough, -1.0  # as alone: before who is only forecast to be better
        yield forecast, min(level, enough) - BY_PRICE * price + BY_QUALITY * level


def _worth(forecasts: Sequence[Forecast], dollar: float) -> dict[str, float]:
    """P(correct) less the cost of the answer; if cost matters, an unknown cost is the worst."""
    known = {
        f.expert: (f.quality or 0.0) - (dollar * f.cost_usd if dollar and f.cost_usd else 0.0)
        for f in forecasts
        if not dollar or f.cost_usd is not None
    }
    least = min(known.values(), default=0.0)
    return {f.expert: known.get(f.expert, least - 1.0) for f in forecasts}


def _moved(decision: Decision, expert: str) -> Decision:
    if expert == decision.expert:
        return decision
    found = next(f for f in decision.forecasts if f.expert == expert)
    chance = f"{found.quality or 0.0:.0%} likely to be right"
    reason = (
        f"The job's capacities and budget leave {expert} ({chance}); "
        f"alone the line would have gone to {decision.expert}."
    )
    return replace(
        decision, expert=expert, policy="bulk", confidence=found.quality or 0.0, reason=reason
    )


def encoded(plan: Plan) -> bytes:
    """The decisions as lines of JSON; only the chosen expert's forecast is kept."""
    kept = (
        {**vars(decision), "forecasts": [decision.forecast], "line": number}
        for number, decision in plan.decisions.items()
    )
    return b"\n".join(map(msgspec.json.encode, kept))


def decoded(data: bytes) -> dict[int, Decision]:
    """The decisions of a plan that was encoded, by line number."""
    found = {}
    for text in data.splitlines():
        kept = json.loads(text)
        number = kept.pop("line")
        del kept["id"]  # a line that is asked anew is a decision of its own in the log
        forecasts = tuple(Forecast(**f) for f in kept.pop("forecasts"))
        found[number] = Decision(**kept, forecasts=forecasts)
    return found
