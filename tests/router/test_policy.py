"""The choice: pure functions, and what holds for them whatever the forecasts say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from collegium.router.decision import Forecast
from collegium.router.policy import (
    STOPS,
    SWITCH_GAIN,
    Tolerances,
    choose,
    cost,
    keeps,
    quality,
    ranked,
    sooner,
    tolerance,
)

shares = st.floats(0, 1)
# Few values, so that ties are common.
few = st.sampled_from([0.0, 0.1, 0.5, 1.0, 2.0])
forecasts_ = st.builds(
    Forecast,
    expert=st.uuids().map(str),
    quality=st.none() | shares | st.sampled_from([0.0, 0.5, 1.0]),
    cost_usd=st.none() | few,
    latency_ms=few,
    energy_j=st.none() | few,
    output_tokens=st.integers(1, 500),
    feasible=st.booleans(),
)
pools = st.lists(forecasts_, max_size=8)
tradeoffs = st.floats(0, 10)


def known(forecasts: list[Forecast]) -> list[Forecast]:
    """Those that can be chosen."""
    return [f for f in forecasts if f.feasible and f.quality is not None]


@given(pools, tradeoffs)
def test_someone_is_chosen_exactly_where_someone_can_be(
    forecasts: list[Forecast], tradeoff: float
) -> None:
    """The choice is a feasible expert with a known quality, if there is one."""
    chosen = choose(forecasts, tradeoff=tradeoff)
    assert (chosen is not None) == bool(known(forecasts))
    assert chosen is None or chosen in known(forecasts)


@given(pools, tradeoffs)
def test_the_chosen_is_within_the_tolerance_of_the_best(
    forecasts: list[Forecast], tradeoff: float
) -> None:
    """No more quality is given up than the caller said."""
    chosen = choose(forecasts, tradeoff=tradeoff)
    if chosen is not None:
        best = max(map(quality, known(forecasts)))
        assert quality(chosen) >= best - tolerance(tradeoff)


@given(pools, tradeoffs)
def test_the_chosen_is_never_dominated(forecasts: list[Forecast], tradeoff: float) -> None:
    """Nobody feasible is as good, as cheap and as fast, and better in one of these."""
    chosen = choose(forecasts, tradeoff=tradeoff)
    if chosen is None:
        return
    mine = (cost(chosen), -quality(chosen), chosen.latency_ms)
    for other in known(forecasts):
        its = (cost(other), -quality(other), other.latency_ms)
        assert its == mine or any(a > b for a, b in zip(its, mine, strict=True))


prices = st.sampled_from([0.1, 0.5, 3.0, 2000.0])


def worth(forecast: Forecast, price: float) -> float:
    """P(correct) less what the answer costs."""
    return quality(forecast) - price * cost(forecast)


@given(pools, shares, prices)
def test_at_a_price_the_chosen_is_within_the_tolerance_of_who_is_worth_most(
    forecasts: list[Forecast], tolerated: float, price: float
) -> None:
    """It is the cheapest of those, by brute force."""
    chosen = choose(forecasts, tolerated=tolerated, price=price)
    able = known(forecasts)
    if chosen is None:
        assert not able
        return
    most = max(worth(f, price) for f in able)
    enough = [f for f in able if worth(f, price) >= most - tolerated]
    assert chosen in enough
    assert cost(chosen) == min(map(cost, enough))


@given(pools, prices, prices)
def test_a_higher_price_never_costs_more(
    forecasts: list[Forecast], price: float, more: float
) -> None:
    """Nor without a price."""
    spent = [choose(forecasts, price=p) for p in sorted([0.0, price, price + more])]
    costs = [cost(f) for f in spent if f is not None]
    assert costs == sorted(costs, reverse=True)


@given(pools, prices)
def test_at_a_price_an_unknown_cost_is_the_last_resort(
    forecasts: list[Forecast], price: float
) -> None:
    """It may be anything."""
    chosen = choose(forecasts, price=price)
    if chosen is not None and chosen.cost_usd is None:
        assert all(f.cost_usd is None for f in known(forecasts))


@given(pools)
def test_tradeoff_0_is_the_best_quality(forecasts: list[Forecast]) -> None:
    """Money is no object, except between equals."""
    chosen = choose(forecasts, tradeoff=0)
    if chosen is not None:
        best = max(map(quality, known(forecasts)))
        assert quality(chosen) == best
        assert cost(chosen) == min(cost(f) for f in known(forecasts) if quality(f) == best)


@given(pools)
def test_tradeoff_10_is_the_cheapest(forecasts: list[Forecast]) -> None:
    """Quality is no object, except between equals."""
    chosen = choose(forecasts, tradeoff=10)
    if chosen is not None:
        cheapest = min(cost(f) for f in known(forecasts))
        assert cost(chosen) == cheapest
        equals = [quality(f) for f in known(forecasts) if cost(f) == cheapest]
        assert quality(chosen) == max(equals)


@given(pools, tradeoffs, tradeoffs)
def test_a_higher_tradeoff_never_costs_more(
    forecasts: list[Forecast], one: float, other: float
) -> None:
    """The cost of the choice falls as the trade-off rises."""
    low, high = sorted((one, other))
    careful, thrifty = choose(forecasts, tradeoff=low), choose(forecasts, tradeoff=high)
    if careful is not None and thrifty is not None:
        assert cost(thrifty) <= cost(careful)


@given(pools, tradeoffs, st.randoms())
def test_the_order_of_the_forecasts_changes_no_price(
    forecasts: list[Forecast], tradeoff: float, random: st.DrawFn
) -> None:
    """Registered first or last, an expert is judged the same."""
    shuffled = list(forecasts)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = choose(forecasts, tradeoff=tradeoff), choose(shuffled, tradeoff=tradeoff)
    assert (one is None) == (other is None)
    if one is not None and other is not None:
        assert (cost(one), one.quality) == (cost(other), other.quality)


def test_an_unknown_price_is_above_every_known_one() -> None:
    """Never cheap by being unknown: not among equals, and not where money is all that counts."""
    dear = Forecast("dear", 0.5, 1e6, 1.0, None, 1)
    unknown = Forecast("unknown", 0.5, None, 1.0, None, 1)
    for tradeoff in (0, 10):
        assert choose([unknown, dear], tradeoff=tradeoff) == dear
    assert ranked([unknown, dear]) == (dear, unknown)
    assert sooner([unknown, dear], replace(dear, wait_ms=60_000.0), 1.0, 0.0).expert == "dear"


@pytest.mark.parametrize(("tradeoff", "expected"), [(0, 0.0), (5, 0.25), (10, 1.0)])
def test_the_tolerance_grows_with_the_tradeoff(tradeoff: float, expected: float) -> None:
    """Nothing at 0, a quarter at 5, everything at 10."""
    assert tolerance(tradeoff) == expected


@given(pools)
def test_ranking_loses_nobody_and_puts_the_feasible_first(forecasts: list[Forecast]) -> None:
    """Feasible ones by quality, then the others."""
    order = ranked(forecasts)
    assert sorted(f.expert for f in order) == sorted(f.expert for f in forecasts)
    assert [f.feasible for f in order] == sorted((f.feasible for f in forecasts), reverse=True)
    for feasible in (True, False):
        qualities = [quality(f) for f in order if f.feasible is feasible]
        assert qualities == sorted(qualities, reverse=True)


BEST = Forecast("best", 0.8, 0.0, 10.0, None, 20)


@pytest.mark.parametrize(
    ("previous", "stays"),
    [
        (replace(BEST, quality=0.75), True),
        (replace(BEST, quality=0.9), True),
        (replace(BEST, quality=0.5), False),
        (replace(BEST, quality=0.75, feasible=False), False),
        (replace(BEST, quality=None), False),
        (None, False),
    ],
)
def test_a_conversation_stays_unless_the_gain_is_worth_it(
    previous: Forecast | None, stays: bool
) -> None:
    """Its expert is kept while it can answer and is nearly as good."""
    assert keeps(previous, BEST) is stays


@given(shares, shares)
def test_a_conversation_never_gives_up_more_than_the_margin(mine: float, best: float) -> None:
    """What a kept expert lacks is at most the price of a change."""
    kept = keeps(replace(BEST, quality=mine), replace(BEST, quality=best))
    assert kept == (best - mine <= SWITCH_GAIN)


def waiting(name: str, level: float, wait_s: float, cost: float = 0.0) -> Forecast:
    """A forecast of an expert whose engine is loaded in so many seconds."""
    return Forecast(name, level, cost, 1000 * wait_s, None, 20, wait_ms=1000 * wait_s)


@given(
    st.lists(
        st.tuples(st.floats(0, 1), st.floats(0, 600), st.sampled_from([0.0, 1.0])), min_size=1
    ),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_waiting_less_never_costs_more_than_it_is_worth(
    pool: list[tuple[float, float, float]], penalty: float, floor: float
) -> None:
    """For any pool: no more money or quality than the penalty says, and nobody below the floor."""
    forecasts = [waiting(str(n), *row) for n, row in enumerate(pool)]
    best = choose(forecasts)
    assert best is not None
    chosen = sooner(forecasts, best, penalty, floor)
    assert cost(chosen) <= cost(best)
    saved_minutes = (best.wait_ms - chosen.wait_ms) / 60_000
    assert quality(best) - quality(chosen) <= penalty * saved_minutes + 1e-9
    assert chosen is best or quality(chosen) >= floor
    assert chosen is best or saved_minutes > 0


def test_who_is_out_of_the_limits_or_unknown_is_not_sooner() -> None:
    """Only those who may answer and of whom something is known take another's place."""
    best = waiting("best", 0.9, 600.0)
    unfit = replace(waiting("unfit", 0.89, 0.0), feasible=False)
    unknown = replace(waiting("unknown", 0.89, 0.0), quality=None)
    assert sooner([best, unfit, unknown], best, 0.5, 0.0) is best


def test_half_a_pair_in_a_query_has_a_tolerance() -> None:
    """JavaScript's clients send it where they cut a text in an emoji."""
    fitted = Tolerances(tuple(0.02 * stop for stop in range(STOPS)))
    assert 0 <= fitted.at(3.0, "cut \ud83d") <= 1
