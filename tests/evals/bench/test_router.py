"""The router's benchmark: its numbers are what was measured."""

from __future__ import annotations

import numpy as np
import pytest

from collegium.evals.bench import pool as bench_pool
from collegium.evals.bench.router import bench_router, fit_seconds, latency
from collegium.router.costs import Speeds
from collegium.router.decision import Query
from collegium.router.encoder import make_encoder
from collegium.router.router import Router


def test_percentiles_are_taken_over_prompts_and_medians_over_rounds() -> None:
    """Three rounds of 101 prompts: 0 to 100 ms, shifted by the round."""
    prompts = np.arange(101.0)
    clock = np.array([prompts, prompts + 1, prompts + 10])
    found = latency(np.stack([clock, clock / 2], axis=-1))
    assert (found.p50, found.p99, found.spread) == (51, 100, (50, 60))
    assert (found.processor_p50, found.processor_p99) == (25.5, 50)


async def test_routers_of_every_size_decide_for_the_generated_prompts() -> None:
    """Vectors that are given lead to the same decision as those that are made."""
    encoder = make_encoder("static")
    prompts = [e.prompt for e in bench_pool.questions("test", 2, seed=0)]
    given = bench_pool.GivenVectors(encoder, prompts)
    for size in (20, 100):
        pool = bench_pool.experts(size)
        fitted = bench_pool.fitted(given, size, 0)
        made, looked_up = (Router(e, fitted, Speeds(45.0)) for e in (encoder, given))
        for prompt in prompts:
            one = await made.decide(Query(prompt), pool, lambda expert: None)
            other = await looked_up.decide(Query(prompt), pool, lambda expert: None)
            assert one.expert == other.expert


@pytest.mark.slow
async def test_the_benchmark_measures_both_encoders_and_all_sizes() -> None:
    """With what is needed to make it again."""
    found = await bench_router(
        per_task=2, rounds=1, fit=False, seed=0, command="again", progress=False
    )
    assert set(found.encoders) == {"static", "minilm"}
    assert set(found.experts) == {20, 100, 1000}
    assert found.provenance.command == "again"
    assert all(0 < r.processor_p50 <= r.processor_p99 for r in found.encoders.values())
    assert found.encoders["static"].p50 < found.encoders["minilm"].p50
    assert found.fit_s is None


def test_a_fit_takes_time_and_more_for_more_prompts() -> None:
    """It is really fitted."""
    assert 0 < fit_seconds(0, 20) < fit_seconds(0, 300)


def test_the_outcomes_depend_on_the_vectors() -> None:
    """So that the fit has as much to learn as a real one."""
    X, y = bench_pool.outcomes(600, 2, 16, seed=0)
    np.testing.assert_allclose(np.linalg.norm(X, axis=1), 1.0)
    design = np.c_[X, np.ones(600)]
    fitted, *_ = np.linalg.lstsq(design[:400], y[:400], rcond=None)
    unexplained = np.mean((design[400:] @ fitted - y[400:]) ** 2)
    assert unexplained < 0.9 * y[400:].var(axis=0).mean()
