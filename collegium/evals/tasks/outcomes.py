"""Every expert's marked answer to every prompt, stored in the format of recorded sets."""

import csv
import gzip
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from collegium.errors import SetupError
from collegium.evals.core.arrays import Floats, Ints
from collegium.evals.core.data import OUTCOMES, PROMPTS, RoutingData
from collegium.evals.tasks.base import Example

HEADER = ("prompt_id", "model", "score", "in_tokens", "out_tokens", "latency_s")
LABELS = ("task", "template", "reference", "split")


@dataclass(frozen=True, slots=True)
class Failure:
    """A cell that has no answer, and why."""

    prompt_id: str
    expert: str
    error: str


@dataclass(frozen=True)
class Outcomes(RoutingData):
    """A live pool's routing set: its models are experts; NaN if there is no answer."""

    failures: tuple[Failure, ...] = ()

    @classmethod
    def of(
        cls,
        examples: Sequence[Example],
        experts: Sequence[str],
        tables: Floats,
        split: str = "test",
        failures: Sequence[Failure] = (),
    ) -> "Outcomes":
        """From `tables` (4, prompts, experts): scores, seconds, tokens read and written."""
        scores, latency_s, read, written = tables
        labels = {n: tuple(getattr(e, n) for e in examples) for n in LABELS if n != "split"}
        return cls(
            "the pool",
            tuple(example.prompt_id for example in examples),
            tuple(example.prompt for example in examples),
            {**labels, "split": (split,) * len(examples)},
            tuple(experts),
            scores,
            {"latency_s": latency_s, "in_tokens": read, "out_tokens": written},
            failures=tuple(failures),
        )

    @property
    def tokens(self) -> Floats:
        """Tokens read and written, in the shape of the scores."""
        return np.asarray(self.extras["in_tokens"] + self.extras["out_tokens"])

    def indices(self, names: Iterable[str]) -> Ints:
        """Turn the names of chosen experts into columns."""
        column = {name: index for index, name in enumerate(self.models)}
        chosen = list(names)
        if unknown := sorted(set(chosen) - set(column)):
            raise ValueError(f"no outcomes of {', '.join(unknown)}; of {', '.join(self.models)}")
        return np.array([column[name] for name in chosen], dtype=np.int64)

    def require_complete(self) -> None:
        """Raise a SetupError that names the first failure, if any cell has no answer."""
        missing = int(np.isnan(self.scores).sum())
        if missing:
            first = f"; the first: {self.failures[0].error}" if self.failures else ""
            raise SetupError(
                f"{missing} of {self.scores.size} answers are missing{first}. "
                "Run the same command again: it asks only for these."
            )

    def save(self, folder: Path) -> None:
        """Write the set; the same outcomes give the same bytes."""
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / PROMPTS, _prompt_lines(self))
        _write(folder / OUTCOMES, _outcome_lines(self))


def _prompt_lines(outcomes: Outcomes) -> Iterable[str]:
    for row, (prompt_id, prompt) in enumerate(
        zip(outcomes.prompt_ids, outcomes.prompts, strict=True)
    ):
        labels = {name: outcomes.labels[name][row] for name in LABELS}
        yield json.dumps({"prompt_id": prompt_id, "prompt": prompt, **labels}) + "\n"


def _outcome_lines(outcomes: Outcomes) -> Iterable[str]:
    yield _csv_line(HEADER)
    tables = np.stack([outcomes.scores, *(outcomes.extras[name] for name in HEADER[3:])])
    for row, prompt_id in enumerate(outcomes.prompt_ids):
        for column, expert in enumerate(outcomes.models):
            numbers = [_cell(float(value)) for value in tables[:, row, column]]
            yield _csv_line((prompt_id, expert, *numbers))


def _csv_line(cells: Sequence[str]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(cells)
    return buffer.getvalue()


def _cell(value: float) -> str:
    """Write a number so that it reads back the same; nothing if nothing was measured."""
    return "" if np.isnan(value) else repr(value).removesuffix(".0")


def _write(path: Path, lines: Iterable[str]) -> None:
    """Write a file whole or not at all; no name and no date go into the archive."""
    scratch = path.with_name(f".{path.name}.partial")
    with scratch.open("wb") as file, gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed:
        packed.writelines(line.encode() for line in lines)
    scratch.replace(path)
