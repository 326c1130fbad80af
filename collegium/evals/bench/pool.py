"""A synthetic pool for timing the router: any number of experts, random outcomes, real prompts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from collegium.evals.core.arrays import Floats
from collegium.evals.tasks import TASKS
from collegium.evals.tasks.base import Example
from collegium.registry.expert import Expert
from collegium.router.artifact import FittedRouter
from collegium.router.beliefs.beliefs import Beliefs
from collegium.router.forecasting import fingerprint
from collegium.router.heads import SkillHead
from collegium.router.vectors import Encoder

EXPERTS = 20
TRAINING = 40
"""Questions a task that show which skills there are."""


class GivenVectors:
    """An encoder that only looks up what another one made: the decision alone is left to time."""

    quick = True

    def __init__(self, encoder: Encoder, texts: Sequence[str]) -> None:
        self.name = encoder.name
        self._encoder = encoder
        self._rows = dict(zip(texts, encoder.encode(texts), strict=True))

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return rows, shape (n, d); those of the texts named at the start are only looked up."""
        if all(text in self._rows for text in texts):
            return np.asarray([self._rows[text] for text in texts])
        return self._encoder.encode(texts)


def experts(count: int) -> tuple[Expert, ...]:
    """Remote experts with prices of their own; the first one is the generalist."""
    return tuple(
        Expert(
            f"expert-{i}",
            "openai",
            f"model-{i}",
            base_url="http://127.0.0.1:9/v1",
            input_price=0.1 * (1 + i % 7),
            output_price=0.4 * (1 + i % 11),
            generalist=i == 0,
        )
        for i in range(count)
    )


def questions(split: str, per_task: int, seed: int) -> list[Example]:
    """Questions of all generated tasks, one task after the other in turn."""
    drawn = [
        task.examples("test" if split == "test" else "validation", per_task, seed)
        for task in TASKS.values()
    ]
    return [example for row in zip(*drawn, strict=True) for example in row]


def fitted(encoder: Encoder, count: int, seed: int, *, numbered: bool = False) -> FittedRouter:
    """A router of `count` experts that knows the tasks; who answers them well is left to chance.

    `numbered`: its prompts end in random numbers, as those of `bench gateway` do. Marks come from
    the traffic that they are used for; without numbers, that traffic would be unfamiliar.
    """
    rng = np.random.default_rng(seed)
    asked = questions("validation", TRAINING, seed)
    ends = [f" [{number}]" if numbered else "" for number in rng.integers(10**9, size=len(asked))]
    prompts = [e.prompt + end for e, end in zip(asked, ends, strict=True)]
    X = encoder.encode(prompts).astype(np.float64)
    skills = [e.task for e in asked]
    chances = rng.uniform(size=(len(TASKS), count))[np.unique(skills, return_inverse=True)[1]]
    right = (rng.random(chances.shape) < chances).astype(np.float64)
    shape = count, len(set(skills))
    return FittedRouter(
        encoder.name,
        tuple(fingerprint(e) for e in experts(count)),
        Beliefs().fit(X, right, labels=skills),
        SkillHead().fit(X, skills),
        rng.uniform(20, 200, shape),
        rng.uniform(10, 40, shape),
        np.zeros((0, count)),
        rng.uniform(20, 200, (len(X), 1 + count)),
        {},
    )


def outcomes(queries: int, count: int, dimensions: int, seed: int) -> tuple[Floats, Floats]:
    """Unit vectors around 14 topics and outcomes that depend on them, to time a fit on."""
    rng = np.random.default_rng(seed)
    topic = rng.integers(14, size=queries)
    X = rng.normal(size=(14, dimensions))[topic] + 1.5 * rng.normal(size=(queries, dimensions))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    logits = 6 * X @ rng.normal(size=(dimensions, count)) + rng.normal(size=count)
    return X, (rng.random(logits.shape) < 1 / (1 + np.exp(-logits))).astype(np.float64)
