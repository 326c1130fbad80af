"""Encode the prompts of problems, and judge routers on each, with a progress bar."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from collegium.evals.arrays import Floats
from collegium.evals.progress import progress_bar
from collegium.evals.routing.embeddings import EmbeddingCache
from collegium.evals.routing.evaluate import NO_PEERS, Evaluated, evaluate
from collegium.evals.routing.exam_results import contender_count
from collegium.evals.routing.lessons import Forecaster, Peer
from collegium.evals.routing.problem import Problem
from collegium.router.vectors import Encoder


def judge(
    problems: Sequence[Problem],
    routers: Mapping[str, Forecaster],
    encoder: Encoder,
    cache: EmbeddingCache,
    *,
    peers: Mapping[str, Peer] = NO_PEERS,
    seed: int = 0,
) -> list[Evaluated]:
    """Evaluate every problem; all prompts are encoded first, for that takes longest."""
    vectors = [encoded(problem, encoder, cache) for problem in problems]
    found = []
    for problem, X in zip(problems, vectors, strict=True):
        label = f"Judging routers on {problem.name}"
        with progress_bar(contender_count(routers, peers), label) as bar:

            def tick(name: str, bar: Any = bar) -> None:
                bar.update(1, name)

            found.append(evaluate(problem, X, routers, peers=peers, seed=seed, tick=tick))
    return found


def encoded(problem: Problem, encoder: Encoder, cache: EmbeddingCache) -> Floats:
    """Return a row a prompt, shape (n, d); of prompts that nobody uses it is 0."""
    rows = np.union1d(problem.train_rows, problem.test_rows)
    used = cache.encode(encoder, [problem.prompts[row] for row in rows])
    X = np.zeros((len(problem.prompts), used.shape[1]))
    X[rows] = used
    return X
