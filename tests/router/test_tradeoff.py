"""The calibrated trade-off: targets are hit on traffic that the calibration did not see."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from collegium.errors import ArtifactRejected, SetupError
from collegium.router.artifact import FittedRouter
from collegium.router.costs import Speeds
from collegium.router.decision import Forecast, Limits, Query
from collegium.router.policy import DITHER, STOPS, Tolerances, choose, tolerance
from collegium.router.router import Router
from collegium.router.tradeoff import (
    Curve,
    Measure,
    Sample,
    choices,
    curve,
)
from tests.router.synthetic import PRICED, WordEncoder

Array = NDArray[np.float64]
PRICES = np.array([1.0, 3.0, 10.0])


def traffic(count: int, seed: int) -> Sample:
    """Forecasts, costs and scores of three experts, the dearer the better on average."""
    rng = np.random.default_rng(seed)
    hard = rng.beta(2, 2, (count, 1))
    skill = np.array([0.1, 0.2, 0.35]) + 0.15 * rng.normal(size=(count, 3))
    quality = np.clip(1 - hard + skill, 0.01, 0.99)
    scores = (rng.random((count, 3)) < quality).astype(np.float64)
    return Sample(quality, np.tile(PRICES, (count, 1)), scores)


def measured(measure: Measure, tolerated: float, seed: int) -> float:
    """What a tolerance gives on new traffic."""
    return traffic(20_000, seed).at(tolerated)[measure]


@pytest.fixture(scope="module")
def calibrated() -> Curve:
    """A curve of 8,000 queries."""
    return curve(traffic(8_000, seed=1))


@pytest.mark.parametrize("target", [0.05, 0.2, 0.4, 0.6, 0.8, 0.95])
def test_a_share_is_hit_within_two_points(calibrated: Curve, target: float) -> None:
    """Of the queries to the dearest expert, on new traffic; above its own share as well."""
    assert measured("share", calibrated.tolerance_for("share", target), 2) == pytest.approx(
        target, abs=0.02
    )


@pytest.mark.parametrize("target", [0.85, 0.9, 0.95, 1.0])
def test_a_quality_is_hit_within_two_points(calibrated: Curve, target: float) -> None:
    """Relative to the best single expert, by scores that the calibration did not see."""
    assert measured("quality", calibrated.tolerance_for("quality", target), 2) == pytest.approx(
        target, abs=0.02
    )


@pytest.mark.parametrize("target", [1.5, 3.0, 6.0, 9.0])
def test_a_mean_cost_is_hit_within_two_percent_of_the_range(
    calibrated: Curve, target: float
) -> None:
    """In dollars."""
    found = measured("cost", calibrated.tolerance_for("cost", target), 2)
    assert found == pytest.approx(target, abs=0.02 * (PRICES.max() - PRICES.min()))


def test_without_calibration_the_same_target_is_missed() -> None:
    """A tolerance of half does not mean half the traffic: this is what the calibration is for."""
    assert abs(measured("share", tolerance(5), 2) - 0.5) > 0.2


def test_traffic_that_changed_is_not_hit() -> None:
    """The promise is for traffic like the calibration's: with other forecasts it does not hold."""
    other = traffic(8_000, seed=1)
    tolerated = curve(replace(other, quality=0.3 * other.quality)).tolerance_for("share", 0.4)
    assert abs(measured("share", tolerated, 2) - 0.4) > 0.02


def test_a_target_out_of_reach_is_told_what_is_in_reach(calibrated: Curve) -> None:
    """Nobody routes to 130 % of the best expert by wishing."""
    with pytest.raises(SetupError, match=r"quality of 1\.3 is out of reach: this pool gives 0\.7"):
        calibrated.tolerance_for("quality", 1.3)


def test_each_trade_off_saves_as_much_as_the_last(calibrated: Curve) -> None:
    """On new traffic, from the best to the cheapest, in even steps."""
    stops = calibrated.stops()
    costs = [measured("cost", float(stop), 3) for stop in stops]
    assert (stops[0], stops[-1], len(stops)) == (0.0, 1.0, STOPS)
    assert np.diff(costs) == pytest.approx([(costs[-1] - costs[0]) / 10] * 10, abs=0.15)


def test_where_all_cost_the_same_there_is_nothing_to_trade() -> None:
    """It says how prices are set."""
    free = replace(traffic(50, seed=0), cost=np.zeros((50, 3)))
    with pytest.raises(SetupError, match="no trade-off"):
        curve(free).stops()


def test_experts_of_one_price_share_the_dear_share() -> None:
    """Two that cost the same are both dear: choosing between them is no question of money."""
    sample = replace(traffic(4_000, seed=1), cost=np.tile([1.0, 9.0, 9.0], (4_000, 1)))
    assert sample.at(-1.0)["share"] == 1.0
    assert curve(sample).tolerance_for("share", 0.99) < 0


def test_queries_that_look_alike_are_split_to_hit_a_share() -> None:
    """An encoder that cuts long prompts gives the same forecasts for all: still 30 % are 30 %."""
    alike = np.tile([0.6, 0.7, 0.8], (4_000, 1))
    sample = Sample(alike, np.tile(PRICES, (4_000, 1)))
    tolerated = curve(sample).tolerance_for("share", 0.3)
    card = {"tradeoff": {"tolerances": [0.0, *[tolerated] * 9, 1.0]}}
    served = [Tolerances.of(card).at(5, f"query {i}") for i in range(4_000)]
    chosen = choices(alike, sample.cost, np.array(served))
    assert np.mean(chosen == 2) == pytest.approx(0.3, abs=0.02)
    assert served == [Tolerances.of(card).at(5, f"query {i}") for i in range(4_000)]


few = st.sampled_from([0.0, 0.2, 0.5, 0.9])


@given(st.lists(st.tuples(few, few), min_size=1, max_size=6), st.floats(0, 1))
def test_it_chooses_as_the_served_policy_does(
    cells: list[tuple[float, float]], tolerated: float
) -> None:
    """What was calibrated is what is served."""
    quality, cost = np.array([cells]).transpose(2, 0, 1)
    forecasts = [Forecast(str(i), q, c, 1.0, None, 1) for i, (q, c) in enumerate(cells)]
    served = choose(forecasts, tolerated=tolerated)
    assert served is not None
    mine = int(choices(quality, cost, tolerated)[0])
    assert (quality[0, mine], cost[0, mine]) == (served.quality, served.cost_usd)


@pytest.mark.parametrize("tradeoff", [0, 2.5, 5, 10])
def test_an_uncalibrated_card_means_what_it_always_did(tradeoff: float) -> None:
    """The square of a tenth."""
    assert Tolerances.of({}).at(tradeoff) == tolerance(tradeoff)


def test_a_calibrated_card_is_interpolated_and_its_floor_never_crossed() -> None:
    """Between its stops in a straight line."""
    card = {"tradeoff": {"tolerances": np.linspace(0, 1, STOPS).tolist()}}
    assert Tolerances.of(card).at(2.5, "a query") == pytest.approx(0.25, abs=DITHER / 2)
    assert Tolerances.of(card).at(0, "a query") == 0
    assert Tolerances.of({**card, "floor": {"tolerance": 0.1}}).at(2.5) == 0.1
    assert Tolerances.of({"floor": {"tolerance": 0.1}}).at(10) == 0.1


@pytest.mark.parametrize(
    "card",
    [
        {"tradeoff": {}},
        {"tradeoff": {"tolerances": [0.0, 1.0]}},
        {"tradeoff": {"tolerances": [1.0] * 10 + [0.0]}},
        {"tradeoff": {"tolerances": ["much"] * STOPS}},
        {"floor": {"tolerance": float("nan")}},
        {"floor": 0.1},
    ],
)
def test_a_garbled_card_is_refused(card: dict[str, Any]) -> None:
    """Before anything is routed by it."""
    with pytest.raises(ArtifactRejected, match="card"):
        Tolerances.of(card)


def test_the_router_goes_by_its_card(fitted: FittedRouter) -> None:
    """A trade-off of 2 is careful by itself; calibrated, it takes the cheapest here."""
    query = Query("sql 1", limits=Limits(tradeoff=2.0))
    eager = {**fitted.card, "tradeoff": {"tolerances": [0.0, *[1.0] * (STOPS - 1)]}}
    chosen = []
    for card in (fitted.card, eager):
        router = Router(WordEncoder(), replace(fitted, card=card), Speeds(45.0))
        reading = router.forecaster.read(WordEncoder().encode(["sql 1"])[0].astype(np.float64))
        chosen.append(router.decide_on(query, PRICED, reading, lambda expert: None).expert)
    assert chosen == ["sql", "general"]
