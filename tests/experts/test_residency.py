"""Residency: the forecast of demand, the two policies, and the scheduler that runs them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collegium.experts.residency.demand import Demand
from collegium.experts.residency.foresight import Foresight
from collegium.experts.residency.lru import Lru
from collegium.experts.residency.scheduler import Command, Request, Scheduler
from collegium.experts.residency.view import EngineCost, Policy

COST = EngineCost(4.0, load_s=40.0, unload_s=2.0, at_once=2)


def scheduler(policy: Policy, budget: float = 8.0, names: str = "abc") -> Scheduler:
    return Scheduler(dict.fromkeys(names, COST), budget, policy)


def done(commands: list[Command]) -> list[tuple[str, str]]:
    return [(command.what, command.engine) for command in commands]


def bring(s: Scheduler, engine: str, now: float) -> None:
    """Let an engine be wanted, loaded and used once."""
    s.arrived(Request(0, engine, now))
    assert ("load", engine) in done(s.step(now))
    s.loaded(engine, now)
    assert ("start", engine) in done(s.step(now))
    s.finished(engine, now)


def test_demand_is_the_rate_of_arrivals_times_the_routing_probabilities() -> None:
    """Two a second for ten minutes, three quarters of them for one engine."""
    demand = Demand()
    for number in range(1200):
        demand.arrived(number / 2, {"a": 0.75, "b": 0.25})
    assert demand.per_second("a", 600.0) == pytest.approx(1.5, rel=0.05)
    assert demand.per_second("b", 600.0) == pytest.approx(0.5, rel=0.05)
    assert demand.per_second("c", 600.0) == 0.0
    assert demand.per_second("a", 720.0) == pytest.approx(1.5 / np.e, rel=0.05)


def test_a_young_forecast_is_not_too_low() -> None:
    """After ten seconds the average counts ten seconds, not its whole memory."""
    demand = Demand()
    for number in range(21):
        demand.arrived(number / 2, {"a": 1.0})
    assert demand.per_second("a", 10.0) == pytest.approx(2.0, rel=0.1)


def test_lru_evicts_what_was_used_longest_ago() -> None:
    """And loads for the request that has waited longest."""
    s = scheduler(Lru())
    bring(s, "a", 0.0)
    bring(s, "b", 1.0)
    s.arrived(Request(3, "c", 2.0))
    assert done(s.step(2.0)) == [("unload", "a")]
    s.gone("a")
    assert done(s.step(4.0)) == [("load", "c")]


def test_an_engine_finishes_its_answers_before_it_goes() -> None:
    """Nothing new begins on it, nothing is cut off."""
    s = scheduler(Lru(), budget=4.0)
    s.arrived(Request(0, "a", 0.0))
    s.step(0.0)
    s.loaded("a", 40.0)
    assert done(s.step(40.0)) == [("start", "a")]
    s.arrived(Request(1, "b", 41.0))
    assert done(s.step(41.0)) == []
    s.arrived(Request(2, "a", 42.0))
    assert done(s.step(42.0)) == []
    s.finished("a", 45.0)
    assert done(s.step(45.0)) == [("unload", "a")]


def test_a_hot_engine_is_not_pushed_out_for_one_request() -> None:
    """Ten a second would wait while it is away; foresight lets the one wait, LRU does not."""
    kept = {}
    for policy in (Lru(), Foresight()):
        s = scheduler(policy, budget=4.0, names="ab")
        bring(s, "a", 0.0)
        for number in range(100):
            s.arrived(Request(number, "a", number / 10))
            s.step(number / 10)
            s.finished("a", number / 10)
        s.arrived(Request(200, "b", 10.0))
        kept[type(policy).__name__] = done(s.step(10.0))
    assert kept == {"Lru": [("unload", "a")], "Foresight": []}


def test_a_queue_that_is_worth_it_gets_its_engine() -> None:
    """When those who wait have waited as long as the swap would make others wait."""
    s = scheduler(Foresight(), budget=4.0, names="ab")
    bring(s, "a", 0.0)
    for number in range(8):
        s.arrived(Request(number, "b", 100.0))
    at = next(t for t in range(100, 1000) if done(s.step(float(t))))
    assert s.phase("a") == "unloading"
    assert 100 < at < 560


def test_an_idle_engine_goes_before_one_that_still_answers() -> None:
    """Nothing would be loaded until it has finished; a much hotter engine stays nevertheless."""
    gone = {}
    for hot in (3, 300):
        s = scheduler(Foresight())
        bring(s, "a", 0.0)
        for number in range(hot):
            s.arrived(Request(number, "a", 1.0))
            s.step(1.0)
            s.finished("a", 1.0)
        bring(s, "b", 1.0)
        s.arrived(Request(400, "b", 2.0))
        assert ("start", "b") in done(s.step(2.0))
        for number in range(20):
            s.arrived(Request(500 + number, "c", 2.0))
        now = 3.0
        while s.phase("a") == s.phase("b") == "resident":
            s.step(now := now + 1.0)
        gone[hot] = [name for name in "ab" if s.phase(name) != "resident"]
    assert gone == {3: ["a"], 300: ["b"]}


def test_nobody_waits_longer_than_patience_for_a_load_to_begin() -> None:
    """Not even behind the hottest engine; a nearer deadline counts before patience."""
    for deadline, latest in ((None, 600.0), (300.0, 300.0)):
        s = scheduler(Foresight(), budget=4.0, names="ab")
        bring(s, "a", 0.0)
        s.arrived(Request(1, "b", 0.0, deadline))
        for second in range(1, 700):
            for number in range(5):
                s.arrived(Request(10 * second + number, "a", float(second)))
            commands = done(s.step(float(second)))
            for _ in range(sum(what == "start" for what, _ in commands)):
                s.finished("a", float(second))
            if s.phase("a") != "resident":
                break
        assert latest - 45 <= second <= latest - 35


def test_free_room_is_filled_before_it_is_asked_for() -> None:
    """The engine that is forecast next is loaded while nobody waits."""
    s = scheduler(Foresight(), budget=8.0)
    bring(s, "a", 0.0)
    s.arrived(Request(1, "a", 1.0), {"a": 0.6, "b": 0.4})
    assert done(s.step(1.0)) == [("start", "a"), ("load", "b")]


def test_equal_engines_do_not_take_turns_without_need() -> None:
    """Hysteresis: without a queue nothing is swapped for a like demand."""
    s = scheduler(Foresight(), budget=4.0, names="ab")
    bring(s, "a", 0.0)
    for number in range(50):
        s.arrived(Request(number, "a", float(number)), {"a": 0.45, "b": 0.55})
        assert done(s.step(float(number))) == [("start", "a")]
        s.finished("a", float(number))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([Lru(), Foresight()]), st.booleans())
def test_every_request_is_begun_once_and_the_budget_holds(
    seed: int, policy: Policy, in_order: bool
) -> None:
    """For any arrivals, sizes and budget: nothing is lost, repeated or too large."""
    rng = np.random.default_rng(seed)
    sizes = rng.uniform(1, 6, 5)
    costs = {
        f"e{i}": EngineCost(float(g), float(rng.uniform(1, 50)), 1.0, 3)
        for i, g in enumerate(sizes)
    }
    budget = float(rng.uniform(sizes.max(), sizes.sum()))
    s = Scheduler(costs, budget, policy, in_order=in_order)
    arrivals = sorted(float(t) for t in rng.uniform(0, 300, 40))
    pending: list[tuple[float, str, str]] = []
    begun: list[int] = []
    now, number = 0.0, 0
    while len(begun) < 40 and now < 20_000:
        now += 1.0
        while number < 40 and arrivals[number] <= now:
            s.arrived(Request(number, f"e{rng.integers(5)}", arrivals[number]))
            number += 1
        for item in [p for p in pending if p[0] <= now]:
            pending.remove(item)
            _, what, name = item
            if what == "load":
                s.loaded(name, now)
            elif what == "unload":
                s.gone(name)
            else:
                s.finished(name, now)
        for command in s.step(now):
            cost = costs[command.engine]
            takes = {"load": cost.load_s, "unload": cost.unload_s, "start": 5.0}[command.what]
            pending.append((now + takes, command.what, command.engine))
            if command.request is not None:
                begun.append(command.request.number)
        assert s.view(now).free_gib()[0] >= -1e-6
    assert sorted(begun) == list(range(40))
