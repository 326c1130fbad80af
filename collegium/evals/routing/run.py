"""Encode the prompts of problems, and evaluate routers on each, with a progress bar."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from collegium.evals.core.arrays import Floats
from collegium.evals.core.progress import progress_bar
from collegium.evals.routing.embeddings import CachedEncoder, EmbeddingCache
from collegium.evals.routing.evaluate import NO_PEERS, Evaluated, evaluate
from collegium.evals.routing.exam_results import contender_count
from collegium.evals.routing.lessons import Forecaster, Peer
from collegium.evals.routing.problem import Problem
from collegium.evals.routing.robustness.measure import robustness
from collegium.router.vectors import Encoder


def judge(
    problems: Sequence[Problem],
    routers: Mapping[str, Forecaster],
    encoder: Encoder,
    cache: EmbeddingCache,
    *,
    peers: Mapping[str, Peer] = NO_PEERS,
    seed: int = 0,
    disturbed: int = 0,
) -> list[Evaluated]:
    """Evaluate every problem; all prompts are encoded first, for that takes longest.

    So many judged prompts of each are `disturbed` to measure the served router's robustness.
    """
    vectors = [encoded(problem, encoder, cache) for problem in problems]
    found = []
    for problem, X in zip(problems, vectors, strict=True):
        label = f"Judging routers on {problem.name}"
        with progress_bar(contender_count(routers, peers), label) as bar:

            def tick(name: str, bar: Any = bar) -> None:
                bar.update(1, name)

            each = evaluate(problem, X, routers, peers=peers, seed=seed, tick=tick)
        found.append(_with_robustness(each, problem, encoder, cache, disturbed, seed))
    return found


def _with_robustness(
    found: Evaluated,
    problem: Problem,
    encoder: Encoder,
    cache: EmbeddingCache,
    prompts: int,
    seed: int,
) -> Evaluated:
    if not prompts:
        return found
    reader = CachedEncoder(encoder, cache, progress=False)
    measured = robustness(problem, reader, prompts=prompts, seed=seed)
    return replace(found, report=replace(found.report, robustness=measured))


def encoded(problem: Problem, encoder: Encoder, cache: EmbeddingCache) -> Floats:
    """Return one row per prompt, shape (n, d); 0 for prompts that are not used."""
    rows = np.union1d(problem.train_rows, problem.test_rows)
    used = cache.encode(encoder, [problem.prompts[row] for row in rows])
    X = np.zeros((len(problem.prompts), used.shape[1]))
    X[rows] = used
    return X
