"""The simulated device: times by hand, and a report on a small trace."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collegium.errors import SetupError
from collegium.evals.studies.residency.bound import least_wait_s
from collegium.evals.studies.residency.page import residency_page
from collegium.evals.studies.residency.routing import by_worth
from collegium.evals.studies.residency.study import (
    FORESIGHT,
    FORESIGHT_AWARE,
    LRU,
    ON_DEMAND,
    Device,
    Foretold,
    compare,
    read_trace,
)
from collegium.evals.studies.residency.world import Arrival, Pace, Run, simulate
from collegium.experts.residency.foresight import Foresight
from collegium.experts.residency.lru import Lru
from collegium.experts.residency.view import EngineCost, Policy

ONE = EngineCost(1.0, load_s=40.0, unload_s=2.0)
PACE = Pace(first_s=1.0, token_s=0.1, loaded_token_s=0.05)


def play(*arrivals: Arrival, fit: float = 1.0, in_order: bool = False) -> Run:
    engines = {"a": ONE, "b": ONE}
    return simulate(arrivals, engines, fit, Lru(), PACE, in_order=in_order)


def test_times_are_those_of_the_costs() -> None:
    """Load 40 s; answer 1 s and 10 tokens; unload 2 s; load 40 s; answer."""
    run = play(Arrival(0.0, "a", 10), Arrival(5.0, "b", 10))
    assert run.waits == [40.0, pytest.approx(40 + 2 + 2 + 40 - 5)]
    assert run.end == pytest.approx(86.0)
    assert run.swaps == 2
    assert [(s.engine, s.begin, s.ready, s.end) for s in run.spans] == [
        ("a", 0.0, 40.0, 42.0),
        ("b", 44.0, 84.0, 86.0),
    ]


def test_the_report_says_how_well_waits_were_forecast() -> None:
    """The second engine's load follows the first one's; nothing is said of loading in order."""
    run = play(Arrival(0.0, "a", 10), Arrival(5.0, "b", 10))
    assert run.forecasts == [40.0, pytest.approx(35 + 2 + 40)]
    told = Foretold.of(run)
    assert told is not None
    assert (told.requests, told.kept) == (2, 0.5)
    assert told.bias_s == pytest.approx(-1.0)  # `b` waits 79 s, for `a` has to finish
    assert Foretold.of(play(Arrival(0.0, "a", 10), in_order=True)) is None


def test_answers_together_are_slower() -> None:
    """The second of two begins beside one other."""
    run = play(Arrival(0.0, "a", 10), Arrival(0.0, "a", 10))
    assert run.end == pytest.approx(40 + 1 + 10 * (0.1 + 0.05))


def test_in_order_the_head_of_the_line_blocks() -> None:
    """On demand in arrival order each change of expert is a load; batched by expert two are."""
    mixed = [Arrival(float(n), "ab"[n % 2], 1) for n in range(6)]
    assert play(*mixed, in_order=True).swaps == 6
    assert play(*mixed).swaps == 2


def hot_and_cold() -> list[Arrival]:
    """One engine is asked twice a second, three others once in a while."""
    hot = [Arrival(n / 2, "hot", 5) for n in range(2400)]
    cold = [Arrival(17.0 * n, f"cold-{n % 3}", 5) for n in range(70)]
    return sorted(hot + cold, key=lambda a: a.at)


def test_foresight_keeps_the_hot_engine_and_waits_less() -> None:
    """The same requests twice give the same numbers, and the page shows both timelines."""
    device = Device(2, 40.0, 2.0, PACE)
    made = [
        compare(hot_and_cold(), device, data="d", trace="t", command="c", seed=0) for _ in range(2)
    ]
    (report, runs), (again, _) = made
    assert report.outcomes == again.outcomes
    ours, lru = report.outcome(FORESIGHT), report.outcome(LRU)
    assert ours.mean_s < lru.mean_s / 2
    assert ours.p95_s < lru.p95_s / 2
    assert report.outcome(ON_DEMAND).swaps > 2 * ours.swaps
    assert sum(s.engine == "hot" for s in runs[FORESIGHT].spans) == 1
    page = residency_page(report, runs)
    assert page.count("<svg") == 2
    assert f"{FORESIGHT}: {ours.swaps} loads" in page


def test_a_trace_is_read_and_a_garbled_one_is_refused(tmp_path: Path) -> None:
    """Seconds from the first arrival, of every request or of each second one."""
    path = tmp_path / "t.csv.gz"
    stamps = ("18:15:46.6805900,374,44", "18:15:48.0000000,9,9", "18:15:50.9951690,396,109")
    rows = "".join(f"2023-11-16 {stamp}\n" for stamp in stamps)
    path.write_bytes(gzip.compress(f"TIMESTAMP,ContextTokens,GeneratedTokens\n{rows}".encode()))
    assert read_trace(tmp_path, "t")[1] == [44, 9, 109]
    times, tokens = read_trace(tmp_path, "t", every=2)
    assert times == [0.0, pytest.approx(4.314579)]
    assert tokens == [44, 109]
    path.write_bytes(gzip.compress(b"a,b\n1,2\n"))
    with pytest.raises(SetupError, match="can't be read"):
        read_trace(tmp_path, "t")


def test_the_bound_of_two_that_take_turns() -> None:
    """One fits, both are asked every 10 s all the time: each is away for a load at least."""
    turns = [Arrival(10.0 * n + 1, "ab"[n % 2], 1) for n in range(400)]
    bound = least_wait_s(turns, fit=1, load_s=40.0)
    assert 20.0 <= bound <= np.percentile(play(*turns).waits, 95)
    assert least_wait_s(turns, fit=2, load_s=40.0) == 0.0
    assert least_wait_s(turns, fit=1, load_s=0.0) == 0.0


@given(st.integers(0, 10**6), st.integers(1, 3), st.sampled_from([Lru(), Foresight()]))
@settings(max_examples=25, deadline=None)
def test_no_policy_is_below_the_bound(seed: int, fit: int, policy: Policy) -> None:
    """For any arrivals at four engines: the simulated waits are what the relaxation relaxes."""
    rng = np.random.default_rng(seed)
    times = np.sort(rng.uniform(0, 600, 80))
    names = rng.choice(list("abcd"), 80, p=rng.dirichlet(np.ones(4)))
    arrivals = [Arrival(float(t), str(n), 5) for t, n in zip(times, names, strict=True)]
    engines = dict.fromkeys(sorted(set(names.tolist())), ONE)
    run = simulate(arrivals, engines, float(fit), policy, PACE)
    waited = float(np.quantile(run.waits, 0.95, method="inverted_cdf"))
    assert waited >= least_wait_s(arrivals, fit=fit, load_s=ONE.load_s) - 1e-6


def choosy() -> list[Arrival]:
    """The hot and the cold, but `hot` is nearly as good as those whom the cold prompts want."""
    better = {"hot": 0.70, "cold-0": 0.71, "cold-1": 0.71, "cold-2": 0.71}
    hot = dict.fromkeys(better, 0.1) | {"hot": 0.9}
    return [
        replace(
            a,
            prompt=n % 50,
            forecasts=hot if a.engine == "hot" else better | {a.engine: 0.72},
            scores=dict.fromkeys(better, 1.0) | {"hot": float(n % 10 > 0)},
        )
        for n, a in enumerate(hot_and_cold())
    ]


def test_an_aware_router_trades_quality_for_waiting() -> None:
    """Who waits least for little is taken; the report says what it cost, the same each time."""
    device = Device(2, 40.0, 2.0, PACE)
    (report, runs), (again, _) = [
        compare(choosy(), device, data="d", trace="t", command="c", seed=0, wait_penalty=0.05)
        for _ in range(2)
    ]
    assert report.outcomes == again.outcomes
    ours, aware = report.outcome(FORESIGHT), report.outcome(FORESIGHT_AWARE)
    assert aware.mean_s < ours.mean_s / 2
    assert aware.swaps < ours.swaps
    assert aware.p95_s < ours.p95_s
    found, wanted = aware.quality_difference, ours.quality_difference
    assert found is not None
    assert wanted is not None
    chosen = runs[FORESIGHT_AWARE].engines
    scored = [(a.scores or {})[e] for a, e in zip(choosy(), chosen, strict=True)]
    before = [(a.scores or {})[a.engine] for a in choosy()]
    assert found.estimate == pytest.approx(np.mean(scored) - np.mean(before))
    assert found.low <= found.estimate <= found.high
    assert (wanted.low, wanted.high) == (0.0, 0.0)
    assert aware.quality == pytest.approx(np.mean(scored))
    assert "points" in residency_page(report, runs)


def test_a_penalty_of_none_changes_nothing() -> None:
    """And one that nothing is worth keeps to who is loaded."""
    cold = next(a for a in choosy() if a.engine != "hot")
    waits = {"hot": 0.0}
    for penalty, chosen in ((0.0, cold.engine), (0.001, cold.engine), (1.0, "hot")):
        assert by_worth(penalty)(cold, lambda name: waits.get(name, 60.0)) == chosen
