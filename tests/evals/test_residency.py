"""The simulated device: times by hand, and a report on a small trace."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from collegium.errors import SetupError
from collegium.evals.residency import FORESIGHT, LRU, ON_DEMAND, Device, compare, read_trace
from collegium.evals.residency_page import residency_page
from collegium.evals.residency_world import Arrival, Pace, Run, simulate
from collegium.experts.residency.lru import Lru
from collegium.experts.residency.view import EngineCost

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
    assert ours.swaps < lru.swaps
    assert report.outcome(ON_DEMAND).swaps > 2 * ours.swaps
    assert sum(s.engine == "hot" for s in runs[FORESIGHT].spans) == 1
    page = residency_page(report, runs)
    assert page.count("<svg") == 2
    assert f"{FORESIGHT}: {ours.swaps} loads" in page
    assert json.loads(report.to_json())["goals"][0]["found"] == pytest.approx(
        ours.p95_s / lru.p95_s
    )


def test_a_trace_is_read_and_a_garbled_one_is_refused(tmp_path: Path) -> None:
    """Seconds from the first arrival."""
    path = tmp_path / "trace.csv.gz"
    rows = "2023-11-16 18:15:46.6805900,374,44\n2023-11-16 18:15:50.9951690,396,109\n"
    path.write_bytes(gzip.compress(f"TIMESTAMP,ContextTokens,GeneratedTokens\n{rows}".encode()))
    times, tokens = read_trace(path)
    assert times == [0.0, pytest.approx(4.314579)]
    assert tokens == [44, 109]
    path.write_bytes(gzip.compress(b"a,b\n1,2\n"))
    with pytest.raises(SetupError, match="no trace"):
        read_trace(path)
