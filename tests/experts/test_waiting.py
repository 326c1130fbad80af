"""How long a request would wait for an engine's turn, forecast from the real scheduler's state."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collegium.experts.residency.foresight import Foresight
from collegium.experts.residency.lru import Lru
from collegium.experts.residency.scheduler import Request, Scheduler
from collegium.experts.residency.view import Policy
from tests.experts.test_residency import COST, bring, scheduler


def traffic(s: Scheduler, every: int, begin: float, end: float) -> float | None:
    """Two requests a second for `a`, of which each `every`-th is for `b`: when is `b` loaded?"""
    ends: dict[str, float] = {}
    for half in range(round(2 * begin), round(2 * end)):
        now = half / 2
        s.arrived(Request(half, "a" if half % every else "b", now))
        for engine in [name for name, at in ends.items() if at <= now]:
            del ends[engine]
            if s.phase(engine) == "loading":
                return now
            s.gone(engine)
        for command in s.step(now):
            if command.what == "start":
                s.finished(command.engine, now)
            else:
                takes = COST.load_s if command.what == "load" else COST.unload_s
                ends[command.engine] = now + takes
    return None


def test_who_is_loaded_is_not_waited_for() -> None:
    """And a load under way has only its rest to go."""
    s = scheduler(Lru())
    bring(s, "a", 0.0)
    assert s.wait_s("a", 0.0) == 0.0
    s.arrived(Request(1, "b", 1.0))
    s.step(1.0)
    assert s.wait_s("b", 1.0) == pytest.approx(40.0)
    assert s.wait_s("b", 31.0) == pytest.approx(10.0)
    assert s.wait_s("b", 99.0) == 0.0  # late, and nobody knows how late


def test_the_wait_counts_the_loads_ahead() -> None:
    """One is under way, another one was asked for earlier; both come first."""
    s = scheduler(Lru(), budget=4.0)
    s.arrived(Request(1, "a", 0.0))
    s.step(0.0)
    s.arrived(Request(2, "b", 5.0))
    s.step(5.0)
    assert s.wait_s("b", 10.0) == pytest.approx(30 + 2 + 40)
    assert s.wait_s("c", 10.0) == pytest.approx(30 + 2 + 40 + 2 + 40)


@pytest.mark.parametrize(("every", "patience_s"), [(10, 600.0), (50, 600.0), (50, 100.0)])
def test_the_wait_counts_how_long_foresight_hesitates(every: int, patience_s: float) -> None:
    """The forecast is what then happens, but for the seconds between two looks."""
    s = scheduler(Foresight(patience_s=patience_s), budget=4.0, names="ab")
    bring(s, "a", 0.0)
    assert traffic(s, every, 1.0, 60.0) is None
    forecast = s.wait_s("b", 60.0)
    assert forecast > 42  # not a load alone
    ready = traffic(s, every, 60.0, 1000.0)
    assert ready is not None
    assert forecast == pytest.approx(ready - 60, abs=12.0)


def test_a_forecast_is_made_anew_when_something_changes() -> None:
    """Not before: a second in which nothing happens takes a second off."""
    s = scheduler(Lru(), budget=4.0)
    s.arrived(Request(1, "a", 0.0))
    s.step(0.0)
    assert s.wait_s("a", 0.0) == 40.0
    assert s.wait_s("a", 0.5) == 39.5
    s.gone("a")
    assert s.wait_s("b", 0.75) == pytest.approx(40 + 2 + 40)  # `a` is still asked for


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([Lru(), Foresight()]))
def test_a_forecast_says_nothing_to_the_scheduler(seed: int, policy: Policy) -> None:
    """For any arrivals: to ask changes no command, and is never below the rest of the load."""
    rng = np.random.default_rng(seed)
    asked, quiet = scheduler(policy, 8.0, "abcde"), scheduler(policy, 8.0, "abcde")
    ends: list[tuple[float, str, str]] = []
    for second in range(300):
        now = float(second)
        events = [end for end in ends if end[0] <= now]
        ends = [end for end in ends if end[0] > now]
        name = "abcde"[rng.integers(5)]
        wait_s = asked.wait_s(name, now)
        assert (wait_s == 0.0) or asked.phase(name) != "resident"
        assert asked.phase(name) != "absent" or wait_s >= COST.load_s - 1.0
        for s in (asked, quiet):
            if second % 3 == 0:
                s.arrived(Request(second, name, now))
            for _, what, engine in events:
                s.loaded(engine, now) if what == "load" else s.gone(engine)
        commands = asked.step(now)
        assert commands == quiet.step(now)
        for command in commands:
            if command.what == "start":
                asked.finished(command.engine, now)
                quiet.finished(command.engine, now)
            else:
                takes = COST.load_s if command.what == "load" else COST.unload_s
                ends.append((now + takes, command.what, command.engine))


def test_the_wait_for_a_deadline_is_what_the_policy_makes_of_it() -> None:
    """Foresight loads for it in time, if the load under way leaves time; LRU heeds none."""
    waits = {}
    for policy in (Foresight(), Lru()):
        s = scheduler(policy, budget=4.0, names="ab")
        bring(s, "a", 0.0)
        traffic(s, 1000, 1.0, 60.0)
        asked = [s.wait_s("b", 60.0, by) for by in (None, 60.0 + 300, 60.0 + 90, 60.0 + 10)]
        waits[type(policy).__name__] = asked
    hesitates, *rest = waits["Foresight"]
    assert hesitates > 400
    assert rest == [pytest.approx(seconds, abs=3.0) for seconds in (300, 90, 42)]
    assert waits["Lru"] == [42.0] * 4
