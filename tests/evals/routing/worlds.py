"""A small world with outcomes: skills that a vector tells, and folders in the shared format."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from collegium.evals.core.arrays import Floats
from collegium.evals.core.data import RoutingData

SKILLS = ("maths", "poems", "law")
MODELS = ("sums-7b", "verse-13b", "all-70b")
RATES = {"maths": (0.9, 0.1, 0.6), "poems": (0.1, 0.9, 0.6), "law": (0.3, 0.3, 0.7)}
"""The probability of a right answer by model, for each skill."""


class SkillEncoder:
    """Reads a prompt's first word: each skill has its own direction, with a little noise."""

    name = "skills"

    def __init__(self) -> None:
        self.texts: list[str] = []

    def encode(self, texts: Sequence[str]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        """Return one row of unit length a text, the same for the same text."""
        self.texts += texts
        rows = np.zeros((len(texts), 8))
        for row, text in zip(rows, texts, strict=True):
            noise = np.random.default_rng(len(text) + sum(text.encode())).normal(size=8)
            row += 0.05 * noise
            word = text.split()[0]
            row[SKILLS.index(word) if word in SKILLS else 7] += 1.0
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        return rows.astype(np.float32)


def world(each: int = 60, *, seed: int = 0, skills: Sequence[str] = SKILLS) -> RoutingData:
    """Return outcomes of MODELS on `each` prompts a skill."""
    rng = np.random.default_rng(seed)
    tasks = [skill for skill in skills for _ in range(each)]
    rates = np.array([RATES[task] for task in tasks])
    return RoutingData(
        name="world",
        prompt_ids=tuple(f"{task}.{i}.{seed}" for i, task in enumerate(tasks)),
        prompts=tuple(f"{task} question {i} of {seed}" for i, task in enumerate(tasks)),
        labels={"task": tuple(tasks)},
        models=MODELS,
        scores=(rng.random(rates.shape) < rates).astype(np.float64),
    )


def vectors(prompts: Sequence[str]) -> Floats:
    """Return the vectors of prompts."""
    return SkillEncoder().encode(prompts).astype(np.float64)


def save(data: RoutingData, folder: Path, extra: Mapping[str, str] | None = None) -> Path:
    """Write a set in the shared format; `extra` are further files by name."""
    folder.mkdir(parents=True, exist_ok=True)
    records = [
        {
            "prompt_id": prompt_id,
            "prompt": prompt,
            **{n: column[i] for n, column in data.labels.items() if column[i] is not None},
        }
        for i, (prompt_id, prompt) in enumerate(zip(data.prompt_ids, data.prompts, strict=True))
    ]
    lines = "".join(json.dumps(record) + "\n" for record in records)
    _pack(folder / "prompts.jsonl.gz", lines)
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["prompt_id", *data.models])
    for prompt_id, row in zip(data.prompt_ids, data.scores, strict=True):
        writer.writerow([prompt_id, *("" if np.isnan(cell) else f"{cell:g}" for cell in row)])
    _pack(folder / "scores.csv.gz", table.getvalue())
    for name, text in (extra or {}).items():
        if name.endswith(".gz"):
            _pack(folder / name, text)
        else:
            (folder / name).write_text(text)
    return folder


def _pack(path: Path, text: str) -> None:
    path.write_bytes(gzip.compress(text.encode(), mtime=0))
