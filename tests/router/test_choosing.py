"""Who answers: by what was measured, else by what is known on the first day."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import numpy as np
import pytest
from msgspec import structs

from collegium.registry.expert import Expert
from collegium.router.choosing import SPECIALIST_LOSS, Choice, Terms, chosen_among, doubted
from collegium.router.decision import Forecast, Query
from collegium.router.forecasting import ByFingerprint, Reading
from collegium.router.policy import SWITCH_GAIN
from collegium.router.virtual_models import BEST, VIRTUAL_MODELS, VirtualModel

CHEAP = VIRTUAL_MODELS["collegium/cheap"]
LARGE = Expert("large", "openai", "llama-3.1-70b", base_url="http://h/v1")
SMALL = Expert("small", "openai", "llama-3.2-1b", base_url="http://h/v1")
LARGE, SMALL = (
    replace(LARGE, generalist=True, input_price=3.0, output_price=9.0),
    replace(SMALL, generalist=True, input_price=0.1, output_price=0.2),
)
NARROW = replace(LARGE, name="narrow", generalist=False)


def forecast(expert: Expert, quality: float | None, cost: float | None = 0.01) -> Forecast:
    """What is expected of an expert."""
    return Forecast(expert.name, quality, cost, 100.0, None, 50)


def chosen(
    *pairs: tuple[Expert, float | None],
    model: VirtualModel = BEST,
    tolerated: float = 0.0,
    session: str | None = None,
    incumbent: str | None = None,
    lead: float = 0.0,
    most: float = 1.0,
    price: float = 0.0,
) -> Choice:
    """The choice among experts of these qualities."""
    forecasts = tuple(forecast(e, q, 0.001 * (e.output_price or 0)) for e, q in pairs)
    query = Query("hello", session_expert=session, price=price)
    terms = Terms(tolerated, model, incumbent, lead, most)
    return chosen_among([e for e, _ in pairs], query, forecasts, terms)


def name(choice: Choice) -> str | None:
    """Who answers."""
    return None if choice.forecast is None else choice.forecast.expert


def test_on_the_first_day_the_best_by_its_prior_answers() -> None:
    """By published scores and size; no quality is claimed."""
    choice = chosen((SMALL, None), (LARGE, None))
    assert (name(choice), choice.policy) == ("large", "prior")
    assert choice.forecast is not None
    assert choice.forecast.quality is None


def test_on_the_first_day_cheap_is_the_cheapest() -> None:
    """By its prices; one of unknown price comes last."""
    unknown = replace(SMALL, name="unknown", input_price=None)
    pairs = ((LARGE, None), (unknown, None), (SMALL, None))
    assert name(chosen(*pairs, model=CHEAP)) == "small"
    assert name(chosen((unknown, None), (LARGE, None), model=CHEAP)) == "large"


@pytest.mark.parametrize("model", [BEST, CHEAP])
def test_on_the_first_day_generalists_come_first(model: VirtualModel) -> None:
    """A specialist answers only where there is no generalist."""
    narrow = replace(NARROW, prior=0.99, input_price=0.0, output_price=0.0)
    assert name(chosen((narrow, None), (LARGE, None), model=model)) == "large"
    assert name(chosen((narrow, None), (NARROW, None), model=model)) == "narrow"


def test_who_was_measured_goes_before_who_was_not() -> None:
    """Whatever is published of the other."""
    choice = chosen((LARGE, None), (SMALL, 0.4))
    assert (name(choice), choice.policy) == ("small", "quality")


def test_nobody_feasible_is_no_choice() -> None:
    """The caller says why."""
    forecasts = (structs.replace(forecast(LARGE, None), feasible=False),)
    choice = chosen_among([LARGE], Query("hello"), forecasts, Terms(0.0, BEST))
    assert choice == Choice(None, "prior", forecasts)


def test_an_incumbent_far_ahead_answers_whatever_is_forecast() -> None:
    """As long as it can."""
    choice = chosen((LARGE, 0.8), (SMALL, 0.9), incumbent="large", lead=inf)
    assert (name(choice), choice.incumbent) == ("large", True)
    choice = chosen((LARGE, 0.8), (SMALL, 0.9), incumbent="gone", lead=inf)
    assert (name(choice), choice.incumbent) == ("small", False)


@pytest.mark.parametrize(("ahead", "expert"), [(0.025, "large"), (0.035, "small")])
def test_an_incumbent_is_ahead(ahead: float, expert: str) -> None:
    """Others have to be forecast to be better by more."""
    choice = chosen((LARGE, 0.8), (SMALL, 0.8 + ahead), incumbent="large", lead=0.03)
    assert (name(choice), choice.incumbent) == (expert, False)


@pytest.mark.parametrize(("most", "expert"), [(0.11, "small"), (0.09, "large")])
def test_no_price_takes_an_answer_below_the_floor(most: float, expert: str) -> None:
    """However dear the best one is."""
    assert name(chosen((LARGE, 0.9), (SMALL, 0.8), price=1e6, most=most)) == expert


def test_at_a_price_who_is_worth_most_answers() -> None:
    """P(correct) less what a dollar is worth for each that an answer costs."""
    for price, expert in ((0.0, "large"), (10.0, "large"), (12.0, "small")):
        assert name(chosen((LARGE, 0.9), (SMALL, 0.8), price=price)) == expert


def test_within_the_tolerance_the_cheapest_answers() -> None:
    """And just outside of it the best does."""
    assert name(chosen((LARGE, 0.9), (SMALL, 0.85), tolerated=0.06)) == "small"
    assert name(chosen((LARGE, 0.9), (SMALL, 0.85), tolerated=0.04)) == "large"


@pytest.mark.parametrize(
    ("quality", "expert", "policy"),
    [
        (0.9 - SWITCH_GAIN + 0.01, "small", "session"),
        (0.9 - SWITCH_GAIN - 0.01, "large", "quality"),
    ],
)
def test_a_conversation_stays_unless_much_is_gained(
    quality: float, expert: str, policy: str
) -> None:
    """By a gain in P(correct)."""
    choice = chosen((LARGE, 0.9), (SMALL, quality), session="small")
    assert (name(choice), choice.policy) == (expert, policy)


def reading(evidence: float) -> Reading:
    """A query of which the marks say so much."""
    nothing = ByFingerprint({}, np.zeros(0))
    return Reading({"": 1.0}, evidence, nothing, nothing, nothing, nothing)


@pytest.mark.parametrize("evidence", [0.0, 0.3, 1.0])
def test_specialists_are_doubted_the_less_the_marks_say(evidence: float) -> None:
    """Beside a generalist, whose overall rate holds for any query."""
    experts = (LARGE, NARROW)
    found = doubted(experts, (forecast(LARGE, 0.6), forecast(NARROW, 0.8)), reading(evidence))
    expected = [0.6, max(0.8 - SPECIALIST_LOSS * (1 - evidence), 0.0)]
    assert [f.quality for f in found] == pytest.approx(expected)


def test_unknown_and_hopeless_qualities_are_left_as_they_are() -> None:
    """Less than nothing is not expected of anybody."""
    other = replace(NARROW, name="other")
    forecasts = (forecast(LARGE, 0.6), forecast(NARROW, None), forecast(other, 0.2))
    found = doubted((LARGE, NARROW, other), forecasts, reading(0.0))
    assert [f.quality for f in found] == [0.6, None, 0.0]


def test_among_specialists_nobody_is_doubted() -> None:
    """There is nobody whose rate holds better."""
    forecasts = (forecast(NARROW, 0.8),)
    assert doubted((NARROW,), forecasts, reading(0.0)) == forecasts
