"""A small world to route in: skills, an encoder that knows their words, experts with outcomes."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from collegium.registry.expert import Expert
from collegium.router.artifact import FittedRouter
from collegium.router.forecasting import fingerprint
from collegium.router.training import Measured, fit_router

Array = NDArray[np.float64]
DIMENSIONS = 12
SKILLS = ("lists", "poems", "sql")
RATES = {"sql": (0.02, 0.05, 0.95), "lists": (0.95, 0.05, 0.05), "general": (0.3, 0.6, 0.3)}
"""The probability of a right answer by expert, for each of SKILLS."""
TOKENS = {"lists": 40.0, "poems": 120.0, "sql": 20.0}
MS_PER_TOKEN = 10.0

SQL = Expert("sql", "lora", "sql", engine="embedded", adapter="builtin:sql")
LISTS = Expert("lists", "lora", "lists", engine="embedded", adapter="builtin:lists")
GENERAL = Expert("general", "engine", "general", engine="embedded", generalist=True)
POOL = (SQL, LISTS, GENERAL)
REGISTERED = tuple(
    Expert(e.name, "openai", e.name, base_url="http://h/v1", generalist=e.generalist) for e in POOL
)
"""Models of somebody's own: where they are, the demonstration experts of POOL do not answer."""
PRICED = (replace(SQL, output_price=10_000.0), replace(LISTS, output_price=1.0), GENERAL)


class WordEncoder:
    """Reads a text's first word: each skill has its direction, any other word a far one."""

    name = "words"

    def __init__(self) -> None:
        self.texts: list[str] = []

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One row a text, of unit length and the same for the same text."""
        self.texts += texts
        rows = [self._row(text) for text in texts]
        return np.asarray(rows, dtype=np.float32).reshape(len(rows), DIMENSIONS)

    def _row(self, text: str) -> Array:
        noise = np.random.default_rng(zlib.crc32(text.encode(errors="surrogatepass"))).normal(
            size=DIMENSIONS
        )
        centre = np.zeros(DIMENSIONS)
        word = text.split()[0]
        centre[SKILLS.index(word) if word in SKILLS else DIMENSIONS - 1] = 1.0
        row = centre + 0.08 * noise
        return np.asarray(row / np.linalg.norm(row))


def measured(experts: Sequence[Expert] = POOL, *, each: int = 60, seed: int = 0) -> Measured:
    """Outcomes of `experts` on `each` queries a skill, in five phrasings."""
    rng = np.random.default_rng(seed)
    skills = [skill for skill in SKILLS for _ in range(each)]
    rates = np.array([[RATES[e.name][SKILLS.index(skill)] for e in experts] for skill in skills])
    tokens = np.array([[TOKENS[skill]] * len(experts) for skill in skills])
    return Measured(
        prompts=[f"{skill} {i}" for i, skill in enumerate(skills)],
        skills=skills,
        groups=[f"{skill}-{i % 5}" for i, skill in enumerate(skills)],
        fingerprints=[fingerprint(e) for e in experts],
        scores=(rng.random(rates.shape) < rates).astype(np.float64),
        tokens=tokens,
        latency_s=tokens * MS_PER_TOKEN / 1000,
    )


def fitted_router(experts: Sequence[Expert] = POOL) -> FittedRouter:
    """A router that learnt the experts' outcomes."""
    return fit_router(measured(experts), WordEncoder())
