"""The arithmetic of `bench batch`; its engines are real only when it is run."""

from __future__ import annotations

import pytest

from collegium.evals.bench.batch import ArrivalOrder, BatchBench, Job, shuffled
from collegium.evals.core.provenance import provenance

JOB = Job(
    makespan_s=120.0,
    load_s={"json": 40.0, "sql": 40.0},
    answer_s={"json": 20.0, "sql": 10.0},
    tokens={"json": 400, "sql": 300},
    rate={"json": 25.0, "sql": 20.0},
)


def test_the_bound_is_each_load_once_and_the_better_rate() -> None:
    """400 tokens at 25 a second are 16 s; 300 at 20 would be 15 s, but the job took 10 s."""
    assert JOB.bound_s == pytest.approx(40 + 40 + 16 + 10)


def test_the_first_stretches_stand_for_all() -> None:
    """Four of 200 stretches took 180 s."""
    order = ArrivalOrder(seconds=180.0, lines=6, stretches=4, all_stretches=200)
    report = BatchBench(300, JOB, order, provenance("c", 0, {}))
    assert order.makespan_s == pytest.approx(9000)
    assert report.speed_up == pytest.approx(75)
    found = report.to_dict()
    assert found["speed_up"] == pytest.approx(75)
    assert found["over_bound"] == pytest.approx(120 / 106)


def test_lines_come_in_no_order_and_the_same_for_a_seed() -> None:
    """As many an expert, mixed."""
    lines = shuffled(("json", "sql"), 30, seed=3)
    assert lines == shuffled(("json", "sql"), 30, seed=3)
    assert [line.number for line in lines] == list(range(60))
    first = [line.expert for line in lines[:30]]
    assert 5 < first.count("sql") < 25
