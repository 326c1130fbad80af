"""Disturb a set's judged prompts, and measure what that does to the served router's decisions."""

from __future__ import annotations

import numpy as np

from collegium.evals.core.arrays import Floats, Ints
from collegium.evals.core.bootstrap import Bootstrap
from collegium.evals.routing.choosing import picked
from collegium.evals.routing.lessons import means
from collegium.evals.routing.problem import Problem
from collegium.evals.routing.robustness.disturbances import Disturbance, additions, paraphrases
from collegium.evals.routing.robustness.report import Effect, ServedRobustness
from collegium.evals.routing.robustness.search import worst_suffix
from collegium.evals.routing.robustness.served import POLICY, served
from collegium.evals.routing.splits import Fold
from collegium.router.vectors import Encoder

PROMPTS = 100
"""Prompts of a set that are disturbed unless told otherwise: each is encoded 18 times."""
NONE, ALL, SEARCHED = "none", "all", "searched_suffix"


def robustness(
    problem: Problem, encoder: Encoder, *, prompts: int = PROMPTS, seed: int = 0
) -> ServedRobustness:
    """Disturb some judged prompts of the problem's first fold.

    The router is fitted to the fold's training prompts, of which the searched suffix and other
    tasks' keywords are made as well; models without an outcome on a judged prompt count there as
    they do on training prompts.
    """
    fold = problem.folds[0]
    router = served(problem, fold, encoder)
    rows = np.sort(np.random.default_rng(seed).permutation(fold.test)[:prompts])
    texts = [problem.prompts[row] for row in rows]
    others = [problem.prompts[row] for row in fold.train]
    dearest = int(problem.costs[fold.train].mean(axis=0).argmax())
    suffix = worst_suffix(router, others, dearest, seed=seed)
    kinds: dict[str, Disturbance] = {**paraphrases(seed), **additions(others, seed)}
    kinds[SEARCHED] = lambda text: f"{text} {suffix}".strip()
    usual = router.chosen(texts)
    chosen = {name: router.chosen([kind(t) for t in texts]) for name, kind in kinds.items()}
    table = _Table(problem, fold, rows, dearest, usual, seed)
    every = np.stack(list(chosen.values()))
    return ServedRobustness(
        policy=POLICY,
        prompts=len(rows),
        dearest_model=problem.models[dearest],
        undisturbed=table.effect(NONE, usual[None]),
        overall=table.effect(ALL, every),
        kinds=tuple(table.effect(name, found[None]) for name, found in chosen.items()),
        suffix=suffix,
    )


class _Table:
    """What decisions for some judged prompts are measured by."""

    def __init__(
        self, problem: Problem, fold: Fold, rows: Ints, dearest: int, usual: Ints, seed: int
    ) -> None:
        known = means(problem.scores[fold.train])
        self._scores = np.where(np.isnan(problem.scores[rows]), known, problem.scores[rows])
        self._costs = problem.costs[rows]
        self._single = self._costs[:, int(known.argmax())]
        self._dearest = dearest
        self._usual = usual
        self._seed = seed

    def effect(self, kind: str, chosen: Ints) -> Effect:
        """Measure decisions of shape (kinds, n): each prompt counts with the mean over kinds."""
        columns = [
            (chosen == self._usual).mean(axis=0),
            (chosen == self._dearest).mean(axis=0),
            np.mean([picked(self._scores, each) for each in chosen], axis=0),
            np.mean([picked(self._costs, each) for each in chosen], axis=0),
            self._single,
        ]
        found = Bootstrap(np.stack(columns, axis=1), seed=self._seed)
        return Effect(
            kind,
            same=found.mean(0),
            saving=found.interval(_saving),
            dearest=found.mean(1),
            accuracy=found.mean(2),
        )


def _saving(columns: Floats) -> Floats:
    spent, single = columns[..., 3], columns[..., 4]
    ratio = np.divide(spent, single, out=np.full(spent.shape, np.nan), where=single > 0)
    return np.asarray(1 - ratio)
