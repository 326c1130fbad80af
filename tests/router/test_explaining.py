"""A decision in words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from msgspec import structs

from collegium.router.beliefs.promise import Promise
from collegium.router.choosing import Choice
from collegium.router.decision import Forecast, Limits, PolicyName, Query
from collegium.router.explaining import explained
from collegium.router.forecasting import ByFingerprint, Reading

BEST = Forecast("best", 0.9, 0.02, 100.0, None, 50)
CHEAP = Forecast("cheap", 0.8, 0.001, 100.0, None, 50)
NEW = Forecast("new", None, 0.001, 100.0, None, 50)
KEPT = Promise(0.04, 10.0, 0.012, 0.005, 0.62, 400, 0, kept=True)


def reading(evidence: float = 1.0, **skills: float) -> Reading:
    """A query that is read as these skills."""
    nothing = ByFingerprint({}, np.zeros(0))
    return Reading(skills or {"sql": 0.9, "": 0.1}, evidence, nothing, nothing, nothing, nothing)


def words(
    chosen: Forecast,
    *others: Forecast,
    policy: PolicyName = "quality",
    promise: Promise | None = None,
    read: Reading | None = None,
    **query: Any,
) -> str:
    """The reason of a choice."""
    choice = Choice(chosen, policy, (chosen, *others))
    return explained(Query("hello", **query), read or reading(), choice, promise)


@pytest.mark.parametrize(
    ("read", "application", "start"),
    [
        (reading(), None, "This looks like sql: "),
        (reading(), "app-1", "For the application 'app-1': "),
        (reading(0.2), "app-1", "Unlike most that the experts were measured on: "),
        (reading(**{"": 1.0}), None, "By what was measured: "),
        (reading(requests=1.0), None, "By what was measured: "),
    ],
)
def test_it_says_what_the_query_was_taken_for(
    read: Reading, application: str | None, start: str
) -> None:
    """The application before the skill, and neither where the marks say little."""
    told = words(BEST, CHEAP, read=read, application=application)
    assert told == f"{start}best is 90% likely to be right, ahead of cheap (80%)."


def test_nobody_is_ahead_of_an_equal_that_is_dearer() -> None:
    """Among equals the price decides."""
    told = words(CHEAP, structs.replace(BEST, quality=CHEAP.quality))
    assert told.endswith("cheap is 80% likely to be right; best (80%) would be more expensive.")


@pytest.mark.parametrize(
    ("rival", "end"),
    [
        (BEST, "; best (90%) would be more expensive."),
        (structs.replace(BEST, cost_usd=None), "; best (90%) has no known price."),
        (structs.replace(BEST, feasible=False, note="not available now"),
         "; best (90%) is not available now."),
        (structs.replace(BEST, feasible=False, note="max_cost_usd: 1 USD > 0.1"),
         "; best (90%) is outside the limits: max_cost_usd: 1 USD > 0.1."),
        (structs.replace(BEST, cost_usd=0.0, wait_ms=30_000.0),
         "; best (90%) is not loaded, and has its turn in about 30 s."),
    ],
)  # fmt: skip
def test_it_says_why_a_better_expert_does_not_answer(rival: Forecast, end: str) -> None:
    """Its price, its absence, a limit or its engine."""
    assert words(CHEAP, rival, NEW) == f"This looks like sql: cheap is 80% likely to be right{end}"


def down(forecast: Forecast) -> Forecast:
    """The forecast of an expert that rests, such as after a rate limit."""
    return structs.replace(forecast, feasible=False, note="not available now")


def test_it_says_who_can_not_be_asked_now() -> None:
    """Also where the chosen expert is as good, and who is not compared with it."""
    others = (down(structs.replace(CHEAP, quality=0.9)), down(NEW))
    assert words(BEST, *others) == (
        "This looks like sql: best is 90% likely to be right, ahead of cheap (90%), which is not "
        "available now. Not available now: new."
    )
    many = [down(structs.replace(NEW, expert=f"new-{i}")) for i in range(7)]
    told = words(BEST, *many)
    assert told.endswith("Not available now: new-0, new-1, new-2, new-3, new-4 and 2 more.")


@pytest.mark.parametrize(
    ("policy", "end"),
    [("named", "right)."), ("session", "too little. Not available now: cheap.")],
)
def test_a_name_needs_no_word_about_others(policy: PolicyName, end: str) -> None:
    """A conversation does: its expert stays because another is down."""
    assert words(BEST, down(CHEAP), policy=policy).endswith(end)


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        ("named", "You asked for best (90% likely to be right)."),
        ("session", "This conversation stays with best (90% likely to be right): changing would "
         "gain too little."),
    ],
)  # fmt: skip
def test_a_name_and_a_conversation_are_reasons(policy: PolicyName, told: str) -> None:
    """Before any forecast."""
    assert words(BEST, CHEAP, policy=policy) == told


@pytest.mark.parametrize(
    ("model", "end"),
    [
        ("auto", "new is expected to be the best by what is known of it."),
        ("collegium/balanced", "new is expected to be the best by what is known of it."),
        ("collegium/cheap", "new is the cheapest."),
    ],
)
def test_where_nobody_was_measured_it_says_so(model: str, end: str) -> None:
    """No chance is claimed."""
    told = words(NEW, policy="prior", requested_model=model)
    assert told == f"No expert that can be asked was measured; {end}"


@pytest.mark.parametrize(
    ("promise", "told"),
    [
        (KEPT, "On 400 marked prompts this trade-off loses 1.2 points against the best single "
         "expert [0.2, 2.2] and saves 62%."),
        (replace(KEPT, loss=-0.03), "On 400 marked prompts this trade-off wins 3.0 points "
         "against the best single expert [2.0, 4.0] and saves 62%."),
        (replace(KEPT, kept=False), "400 marked prompts are too few to promise at most 5% less "
         "quality."),
        (None, "What this costs in quality is unmeasured: too few prompts are marked."),
    ],
)  # fmt: skip
def test_a_trade_off_by_name_says_what_it_costs(promise: Promise | None, told: str) -> None:
    """With an interval, or that it is not known."""
    assert words(CHEAP, promise=promise, requested_model="collegium/cheap").endswith(f". {told}")


def test_the_best_single_expert_is_said_to_answer() -> None:
    """Not for its forecast, and whatever others would cost."""
    choice = Choice(CHEAP, "quality", (CHEAP, structs.replace(BEST, cost_usd=0.0)), incumbent=True)
    query = Query("hello", "collegium/balanced")
    assert explained(query, reading(), choice, replace(KEPT, kept=False)) == (
        "This looks like sql: cheap is 80% likely to be right; best (90%) is only forecast to be "
        "better. 400 marked prompts are too few to promise at most 1% less quality, so the best "
        "single expert answers."
    )


def test_a_trade_off_of_the_callers_own_promises_nothing() -> None:
    """Nor does `best`, which gives up nothing."""
    own: dict[str, Any] = {"requested_model": "collegium/cheap", "limits": Limits(tradeoff=5.0)}
    for told in (words(CHEAP, promise=KEPT, **own), words(CHEAP, promise=KEPT)):
        assert "trade-off" not in told


def test_an_engine_that_has_to_be_loaded_is_told() -> None:
    """With the time until its turn."""
    told = words(structs.replace(BEST, wait_ms=12_000.0))
    assert told.endswith("Its engine is not loaded, and has its turn in about 12 s.")
