"""What every expert answered to every prompt, marked; kept in the format of the shared data."""

import csv
import gzip
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from collegium.errors import SetupError
from collegium.evals.arrays import Bools, Floats, Ints
from collegium.evals.data import OUTCOMES, PROMPTS, load_set
from collegium.experts.specialists.tasks.base import Example

HEADER = ("prompt_id", "model", "score", "in_tokens", "out_tokens", "latency_s")
LABELS = ("task", "template", "reference", "split")


@dataclass(frozen=True, slots=True)
class Answer:
    """What an expert said, and what saying it took."""

    text: str
    prompt_tokens: int
    completion_tokens: int
    latency_s: float
    logprob: float | None = None
    """Mean log-probability of its tokens, where it was asked for."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A cell that has no answer, and why."""

    prompt_id: str
    expert: str
    error: str


@dataclass(frozen=True)
class Outcomes:
    """Prompts by experts: scores in [0, 1], NaN where there is no answer."""

    prompts: tuple[Example, ...]
    experts: tuple[str, ...]
    scores: Floats
    latency_s: Floats
    prompt_tokens: Floats
    completion_tokens: Floats
    splits: tuple[str, ...]
    """The split of each prompt."""
    failures: tuple[Failure, ...] = ()

    def __post_init__(self) -> None:
        shape = (len(self.prompts), len(self.experts))
        tables = (self.scores, self.latency_s, self.prompt_tokens, self.completion_tokens)
        if any(table.shape != shape for table in tables) or len(self.splits) != shape[0]:
            raise ValueError(
                f"outcomes of {shape[0]} prompts by {shape[1]} experts need that shape"
            )
        if len({example.prompt_id for example in self.prompts}) != len(self.prompts):
            raise ValueError("a prompt_id appears twice")

    @property
    def tasks(self) -> tuple[str, ...]:
        """The task of each prompt."""
        return tuple(example.task for example in self.prompts)

    @property
    def complete(self) -> Bools:
        """Whether every expert has answered the prompt."""
        return np.asarray(np.isfinite(self.scores).all(axis=1))

    def only(self, split: str) -> "Outcomes":
        """Keep the prompts of one split."""
        return self.rows([row for row, name in enumerate(self.splits) if name == split])

    def rows(self, rows: Sequence[int]) -> "Outcomes":
        """Keep these prompts, in this order."""
        prompts = tuple(self.prompts[row] for row in rows)
        kept = {example.prompt_id for example in prompts}
        index = np.asarray(rows, dtype=np.int64)
        return Outcomes(
            prompts,
            self.experts,
            self.scores[index],
            self.latency_s[index],
            self.prompt_tokens[index],
            self.completion_tokens[index],
            tuple(self.splits[row] for row in rows),
            tuple(failure for failure in self.failures if failure.prompt_id in kept),
        )

    def indices(self, names: Iterable[str]) -> Ints:
        """Turn the names of chosen experts into columns."""
        column = {name: index for index, name in enumerate(self.experts)}
        chosen = list(names)
        if unknown := sorted(set(chosen) - set(column)):
            raise ValueError(f"no outcomes of {', '.join(unknown)}; of {', '.join(self.experts)}")
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

    @classmethod
    def load(cls, folder: Path) -> "Outcomes":
        """Read a saved set, or any set of the shared format whose prompts have a task."""
        data = load_set(folder)
        if "task" not in data.labels:
            raise SetupError(f"{folder / PROMPTS}: a pool's prompts need the label 'task'")
        nothing = (None,) * len(data.prompts)
        columns = [data.labels.get(name, nothing) for name in LABELS]
        texts = [["" if cell is None else str(cell) for cell in column] for column in columns]
        task, template, reference, split = texts
        fields = zip(data.prompt_ids, task, template, data.prompts, reference, strict=True)
        unknown = np.full(data.scores.shape, np.nan)
        return cls(
            tuple(Example(*values) for values in fields),
            data.models,
            data.scores,
            latency_s=data.extras.get("latency_s", unknown),
            prompt_tokens=data.extras.get("in_tokens", unknown),
            completion_tokens=data.extras.get("out_tokens", unknown),
            splits=tuple(split),
        )


def join(parts: Sequence[Outcomes]) -> Outcomes:
    """Put outcomes of the same experts under one another, such as those of several splits."""
    if len({part.experts for part in parts}) != 1:
        raise ValueError("only outcomes of the same experts can be joined")
    return Outcomes(
        tuple(example for part in parts for example in part.prompts),
        parts[0].experts,
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.latency_s for part in parts]),
        np.concatenate([part.prompt_tokens for part in parts]),
        np.concatenate([part.completion_tokens for part in parts]),
        tuple(split for part in parts for split in part.splits),
        tuple(failure for part in parts for failure in part.failures),
    )


def _prompt_lines(outcomes: Outcomes) -> Iterable[str]:
    for example, split in zip(outcomes.prompts, outcomes.splits, strict=True):
        record = {
            "prompt_id": example.prompt_id,
            "prompt": example.prompt,
            "task": example.task,
            "template": example.template,
            "reference": example.reference,
            "split": split,
        }
        yield json.dumps(record) + "\n"


def _outcome_lines(outcomes: Outcomes) -> Iterable[str]:
    yield _csv_line(HEADER)
    tables = np.stack(
        [
            outcomes.scores,
            outcomes.prompt_tokens,
            outcomes.completion_tokens,
            outcomes.latency_s,
        ]
    )
    for row, example in enumerate(outcomes.prompts):
        for column, expert in enumerate(outcomes.experts):
            numbers = [_cell(float(value)) for value in tables[:, row, column]]
            yield _csv_line((example.prompt_id, expert, *numbers))


def _csv_line(cells: Sequence[str]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(cells)
    return buffer.getvalue()


def _cell(value: float) -> str:
    """Write a number so that it reads back the same; nothing where nothing was measured."""
    return "" if np.isnan(value) else repr(value).removesuffix(".0")


def _write(path: Path, lines: Iterable[str]) -> None:
    """Write a file whole or not at all; no name and no date go into the archive."""
    scratch = path.with_name(f".{path.name}.partial")
    with scratch.open("wb") as file, gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed:
        packed.writelines(line.encode() for line in lines)
    scratch.replace(path)
