"""Small recorded sets of which adoption worlds are made, and an encoder that tells their tasks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from collegium.evals.core.data import RoutingData

MODELS = tuple(f"model-{letter}" for letter in "abcdefgh")
"""Strongest first, except that the last is as good as the first in one task of two."""
TASKS = {"school": ("maths", "poems"), "office": ("law", "mail")}
EACH = 60
WORDS = ("maths", "poems", "law", "mail")


class WordEncoder:
    """Reads a prompt's first word: each has its own direction, with a little noise."""

    name = "words"

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one row a text, the same for the same text."""
        rows = np.zeros((len(texts), 8))
        for row, text in zip(rows, texts, strict=True):
            row += 0.05 * np.random.default_rng(list(text.encode())).normal(size=8)
            word = text.split()[0]
            row[WORDS.index(word) if word in WORDS else 7] += 1.0
        return rows.astype(np.float32)


def sets(each: int = EACH, *, tokens: bool = True) -> list[RoutingData]:
    """Two sets of two tasks, with `each` prompts a task."""
    return [_set(name, tasks, each, tokens=tokens) for name, tasks in TASKS.items()]


def _set(name: str, tasks: Sequence[str], each: int, *, tokens: bool) -> RoutingData:
    random = np.random.default_rng(len(name))
    named = tuple(task for task in tasks for _ in range(each))
    rates = np.tile(np.linspace(0.9, 0.4, len(MODELS)), (len(named), 1))
    rates[: len(named) // 2, -1] = 0.9
    shape = rates.shape
    return RoutingData(
        name=name,
        prompt_ids=tuple(f"{name}-{i}" for i in range(len(named))),
        prompts=tuple(f"{task} question {i} of {name}" for i, task in enumerate(named)),
        labels={"task": named},
        models=MODELS,
        scores=(random.random(shape) < rates).astype(np.float64),
        extras={"out_tokens": random.integers(50, 150, shape).astype(float)} if tokens else {},
    )
