"""The core of `collegium bench router`: the speed of deciding, reading and fitting."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from collegium.evals.bench import pool as bench_pool
from collegium.evals.core.arrays import Floats
from collegium.evals.core.provenance import Provenance, provenance
from collegium.extensions import extensions
from collegium.registry.expert import Expert
from collegium.router.artifact import FittedRouter, load, save
from collegium.router.costs import Speeds
from collegium.router.decision import Query
from collegium.router.encoder import make_encoder
from collegium.router.predictors import predictor
from collegium.router.router import Router
from collegium.router.vectors import Encoder

SIZES = (20, 100, 1000)
WATTS = 45.0
FIT_QUERIES, FIT_DIMENSIONS = 10_000, 384


@dataclass(frozen=True)
class Latency:
    """Milliseconds a decision: percentiles over prompts, medians of the rounds.

    `spread` holds the lowest and highest round's median. The processor's time, unlike the clock's,
    does not grow when other programs want the same core.
    """

    p50: float
    p99: float
    spread: tuple[float, float]
    processor_p50: float
    processor_p99: float


@dataclass(frozen=True)
class RouterBench:
    """All timings, with what is needed to make them again."""

    encoders: Mapping[str, Latency]
    """With 20 experts, encoding included."""
    experts: Mapping[int, Latency]
    """By the pool's size, the embedding given."""
    load_s: float
    fit_s: float | None
    provenance: Provenance


async def bench_router(
    *, per_task: int, rounds: int, fit: bool, seed: int, command: str, progress: bool = True
) -> RouterBench:
    """Time everything on one thread."""
    from threadpoolctl import threadpool_limits

    prompts = [e.prompt for e in bench_pool.questions("test", per_task, seed)]
    with threadpool_limits(1):
        names = extensions().names("encoder")
        encoders = {name: make_encoder(name, threads=1) for name in names}
        given = bench_pool.GivenVectors(encoders["static"], prompts)
        routers = {name: _router(encoders[name], bench_pool.EXPERTS, seed) for name in names}
        routers |= {str(size): _router(given, size, seed) for size in SIZES}
        pools = {name: bench_pool.experts(bench_pool.EXPERTS) for name in names}
        pools |= {str(size): bench_pool.experts(size) for size in SIZES}
        timed = await interleaved(routers, pools, prompts, rounds, progress=progress)
        load_s = load_seconds(bench_pool.fitted(given, bench_pool.EXPERTS, seed), rounds)
        fit_s = fit_seconds(seed) if fit else None
    return RouterBench(
        {name: timed[name] for name in names},
        {size: timed[str(size)] for size in SIZES},
        load_s,
        fit_s,
        provenance(command, seed, {"prompts": len(prompts), "rounds": rounds}),
    )


def _router(encoder: Encoder, count: int, seed: int) -> Router:
    return Router(encoder, bench_pool.fitted(encoder, count, seed), Speeds(WATTS))


async def interleaved(
    routers: Mapping[str, Router],
    pools: Mapping[str, Sequence[Expert]],
    prompts: Sequence[str],
    rounds: int,
    *,
    progress: bool = True,
) -> dict[str, Latency]:
    """Let the routers take turns, so that a busy minute hits all of them.

    A turn is all prompts, as a service has one router and its arrays in the processor's cache.
    The first round warms up and is not counted.
    """
    times = np.empty((len(routers), rounds + 1, len(prompts), 2))
    with tqdm(
        total=times[..., 0].size, unit="decision", mininterval=1.0, disable=not progress
    ) as bar:
        for turn in range(rounds + 1):
            for column, (name, router) in enumerate(routers.items()):
                for row, prompt in enumerate(prompts):
                    times[column, turn, row] = await _timed(router, prompt, pools[name])
                    bar.update()
    return {name: latency(times[i, 1:]) for i, name in enumerate(routers)}


async def _timed(router: Router, prompt: str, pool: Sequence[Expert]) -> tuple[float, float]:
    """Milliseconds by the clock and of the processor."""
    clock, processor = time.perf_counter(), time.process_time()
    await router.decide(Query(prompt), pool, lambda expert: None)
    return 1000 * (time.perf_counter() - clock), 1000 * (time.process_time() - processor)


def latency(times: Floats) -> Latency:
    """Summarise times of shape (rounds, prompts, 2): clock and processor."""
    medians, ninety_ninth = np.percentile(times, [50, 99], axis=1)
    p50, processor_p50 = np.median(medians, axis=0)
    p99, processor_p99 = np.median(ninety_ninth, axis=0)
    spread = float(medians[:, 0].min()), float(medians[:, 0].max())
    return Latency(float(p50), float(p99), spread, float(processor_p50), float(processor_p99))


def load_seconds(fitted: FittedRouter, rounds: int) -> float:
    """The median processor time of reading a saved router."""
    with tempfile.TemporaryDirectory() as name:
        save(fitted, Path(name))
        load(Path(name))
        taken = []
        for _ in range(rounds):
            started = time.process_time()
            load(Path(name))
            taken.append(time.process_time() - started)
    return float(np.median(taken))


def fit_seconds(seed: int, queries: int = FIT_QUERIES) -> float:
    """Processor time of fitting the default predictor once on `queries` x 20 outcomes."""
    X, y = bench_pool.outcomes(queries, bench_pool.EXPERTS, FIT_DIMENSIONS, seed)
    predictor().fit(X[:50], y[:50])  # what is imported on first use is not counted
    started = time.process_time()
    predictor().fit(X, y)
    return time.process_time() - started
