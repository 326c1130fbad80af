"""Who answers which line of a job: decided for all lines together, kept on disk, read again."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from collegium.errors import BadRequest, CollegiumError, ExpertUnavailable, NoFeasibleExpert
from collegium.experts.bulk.lines import Line
from collegium.experts.dispatch.terms import Terms
from collegium.experts.fleet import Fleet
from collegium.registry.expert import Expert
from collegium.router.assignment import JobLimits, assign_job
from collegium.router.decision import Decision, Forecast, Query
from collegium.router.limits import STATE_PRICES
from collegium.web.errors import LONGEST_MESSAGE
from collegium.web.lean_route import MOST_ERRORS
from collegium.web.protocols.chat_request import ChatRequest
from collegium.web.serving.pipeline import Pipeline
from collegium.web.serving.prepare import Prepared, prepare

if TYPE_CHECKING:
    from collegium.router.router import Availability, Router

Array = NDArray[np.float64]
AT_ONCE = 16
"""Lines that are read together: the encoder takes them in one pass."""
BY_PRICE, BY_QUALITY = 1e-6, 1e-9
"""Among experts that are good enough the cheaper one, among equally cheap ones the better one."""

MOST_HEADROOM = 0.25
"""Of a budget, kept free at most: for one dear line the others are not given up."""


@dataclass(frozen=True)
class Plan:
    """The decisions of all lines that can be asked, and why the others can't, by line number."""

    decisions: Mapping[int, Decision]
    refusals: Mapping[int, CollegiumError]


async def make_plan(
    pipeline: Pipeline,
    router: Router,
    fleet: Fleet,
    lines: Sequence[Line],
    limits: JobLimits,
    *,
    owner: str = "",
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
            request = prepared(request_of(line.body), owner)
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
    """An engine of ours that is not ready will be; one that is not ours never comes."""

    def unavailable(expert: Expert) -> ExpertUnavailable | None:
        if expert.engine is None or expert.engine in fleet:
            return None
        return ExpertUnavailable(expert.name, f"its engine '{expert.engine}' is not run here")

    return unavailable


def prepared(request: ChatRequest, owner: str) -> Prepared:
    """A line as if its job's owner had asked it; people who wait for their answers go first."""
    terms = Terms(caller=owner or "bulk", priority="background")
    return prepare(request, terms, tenant=owner)


def request_of(body: Mapping[str, Any]) -> ChatRequest:
    """A line's body, checked; BadRequest where the API would refuse it."""
    try:
        request = ChatRequest.model_validate(body)
    except ValidationError as exc:
        raise BadRequest(_problems(exc), "body") from exc
    if request.stream:
        raise BadRequest("stream can't be used in a batch", "stream")
    return request


def _problems(exc: ValidationError) -> str:
    """What is wrong with a body, in words; many problems are only counted."""
    if exc.error_count() > MOST_ERRORS:
        return f"the body has {exc.error_count()} problems"
    found = (f"{'.'.join(map(str, e['loc'])) or 'body'}: {e['msg']}" for e in exc.errors())
    return "; ".join(dict.fromkeys(found))[:LONGEST_MESSAGE]


def jointly(
    decisions: Mapping[int, Decision],
    tolerated: Mapping[int, float],
    limits: JobLimits,
    *,
    or_cheapest: bool = False,
) -> dict[int, Decision]:
    """Move lines between experts so that the job's limits hold at the least loss of quality."""
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
    """What the last lines may cost beyond the mean: they have to be paid for, too."""
    chosen = [decision.forecast for decision in decisions.values()]
    return max(max((f.most_usd or 0.0) - (f.cost_usd or 0.0), 0.0) for f in chosen)


def _assigned(
    value: Array, cost: Array, names: list[str], limits: JobLimits, headroom: float
) -> NDArray[np.intp]:
    """With the headroom kept free where the budget allows that."""
    if limits.budget_usd is not None:
        free = min(headroom, MOST_HEADROOM * limits.budget_usd)
        kept = replace(limits, budget_usd=limits.budget_usd - free)
        with contextlib.suppress(NoFeasibleExpert):
            return assign_job(value, cost, names, kept).experts
    return assign_job(value, cost, names, limits).experts


def _worths(
    decision: Decision, tolerated: float, dearest: float
) -> Iterator[tuple[Forecast, float]]:
    """What each expert that may answer is worth; a choice that is no matter of quality stays."""
    if decision.policy != "quality":
        chosen = decision.forecast
        yield chosen, chosen.quality or 0.0
        return
    able = [f for f in decision.forecasts if f.feasible and f.quality is not None]
    worth = _worth(able, decision.price)
    enough = max(worth.values()) - tolerated
    for forecast in able:
        level = worth[forecast.expert]
        price = 2.0 if forecast.cost_usd is None else forecast.cost_usd / dearest
        if decision.incumbent and forecast.expert == decision.expert:
            level, price = enough, -1.0  # as alone: before who is only forecast to be better
        yield forecast, min(level, enough) - BY_PRICE * price + BY_QUALITY * level


def _worth(forecasts: Sequence[Forecast], dollar: float) -> dict[str, float]:
    """P(correct) less what the answer costs; where money counts, an unknown cost is worst."""
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


def save_plan(plan: Plan, path: Path) -> None:
    """Write the decisions, whole or not at all; only the chosen expert's forecast is kept."""
    draft = path.with_suffix(".draft")
    with draft.open("wb") as file:
        for number, decision in plan.decisions.items():
            kept = {**vars(decision), "forecasts": [decision.forecast], "line": number}
            file.write(msgspec.json.encode(kept) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)


def load_plan(path: Path) -> dict[int, Decision] | None:
    """The decisions of an earlier process; None where it did not come so far."""
    if not path.is_file():
        return None
    found = {}
    for text in path.read_text(encoding="utf-8").splitlines():
        kept = json.loads(text)
        number = kept.pop("line")
        del kept["id"]  # a line that is asked anew is a decision of its own in the log
        forecasts = tuple(Forecast(**f) for f in kept.pop("forecasts"))
        found[number] = Decision(**kept, forecasts=forecasts)
    return found
