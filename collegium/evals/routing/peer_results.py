"""Other projects' routers' choices on the test prompts, compared with ours."""

import time
from collections.abc import Mapping

import numpy as np

from collegium.errors import PeerFailed
from collegium.evals.core.arrays import Floats, Ints
from collegium.evals.routing.choosing import choose, picked
from collegium.evals.routing.exam_results import Judged, Result, Tick
from collegium.evals.routing.lessons import Peer, lesson_and_exam, means
from collegium.evals.routing.problem import Problem

PAIR = 2


def peer_results(
    problem: Problem, X: Floats, exam: Judged, peers: Mapping[str, Peer], *, tick: Tick
) -> tuple[list[Result], list[str]]:
    """Let every peer learn and choose; one that can't has no row, but a note that says why."""
    found, notes = [], []
    for name, peer in peers.items():
        if peer.pairs_only and len(problem.models) != PAIR:
            notes.append(f"no row of {name}: it routes between two models")
        else:
            try:
                result, gaps = _visited(problem, X, exam, name, peer)
                found.append(result)
                notes += _gap_note(name, gaps)
            except PeerFailed as exc:
                notes.append(f"no row of {name}: {exc}")
        tick(name)
    return found, notes


def _visited(
    problem: Problem, X: Floats, exam: Judged, name: str, peer: Peer
) -> tuple[Result, int]:
    started = time.perf_counter()
    chosen = np.zeros(len(problem.prompts), dtype=np.int64)
    ranking = np.full(problem.scores.shape, np.nan)
    for fold in problem.folds:
        choice = peer.choose(*lesson_and_exam(problem, X, fold))
        chosen[fold.test] = choice.chosen
        if choice.ranking is not None:
            ranking[fold.test] = choice.ranking
    seconds = time.perf_counter() - started
    rows = problem.test_rows
    wanted = chosen[rows]
    taken = _measured(exam, wanted, means(problem.scores[problem.train_rows]))
    result = Result(
        name,
        "peer",
        peer.note,
        picked(exam.scores, taken),
        picked(exam.costs, taken),
        taken,
        ranking[rows] if np.isfinite(ranking[rows]).all() else None,
        seconds=seconds,
    )
    return result, int((taken != wanted).sum())


def _measured(exam: Judged, wanted: Ints, training_means: Floats) -> Ints:
    """Keep choices that were measured; of others the best single model that was is chosen."""
    preference = np.tile(training_means, (len(wanted), 1))
    preference[np.arange(len(wanted)), wanted] += 2.0  # above every mean, which is at most 1
    return choose(preference, exam.measured, exam.expected_cost)


def _gap_note(name: str, gaps: int) -> list[str]:
    if not gaps:
        return []
    return [f"{gaps} choices of {name} were not measured: the best single model stands in"]
