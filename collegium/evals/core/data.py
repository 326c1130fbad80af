"""Read a folder of routing data: prompts, and how well each model answered them.

Prompts are `prompts.jsonl` or `prompts.csv`; outcomes `scores.csv` (wide: a column a model) or
`outcomes.csv` or `outcomes.jsonl` (long: `prompt_id`, `model`, `score` and what `tables.py` knows).
Each may be gzipped (`.gz`). A score lies in [0, 1]; empty: not measured. Optional beside them:
`response_chars.csv` (wide, characters generated) and `model_prices.json`. The documentation is
docs/guides/outcome-files.md.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collegium.errors import SetupError
from collegium.evals.core.arrays import Floats
from collegium.evals.core.files import number, only_file, read_rows, share
from collegium.evals.core.marks import marks
from collegium.evals.core.prices import PRICES, Price, read_prices
from collegium.evals.core.signals import read_signals, signals_of
from collegium.evals.core.tables import read_long, read_wide
from collegium.router.applications.signals import Signals

PROMPTS, OUTCOMES = "prompts.jsonl.gz", "outcomes.csv.gz"
"""What we write."""
PROMPT_FILES = (PROMPTS, "prompts.jsonl", "prompts.csv.gz", "prompts.csv")
SCORE_FILES = ("scores.csv.gz", "scores.csv")
OUTCOME_FILES = (OUTCOMES, "outcomes.csv", "outcomes.jsonl.gz", "outcomes.jsonl")
CHARACTER_FILES = ("response_chars.csv.gz", "response_chars.csv")


@dataclass(frozen=True)
class RoutingData:
    """Prompts by models: each model's score on each prompt, NaN if unmeasured."""

    name: str
    prompt_ids: tuple[str, ...]
    prompts: tuple[str, ...]
    labels: Mapping[str, tuple[object, ...]]
    """Every other field of the prompts, in their order; None if a prompt lacks it."""
    models: tuple[str, ...]
    scores: Floats
    extras: Mapping[str, Floats] = field(default_factory=dict)
    """The columns of `tables.EXTRAS`, `reliability` and `response_chars`, where recorded, in the
    shape of `scores`."""
    prices: Mapping[str, Price] = field(default_factory=dict)
    """List prices of those models whose price is known."""
    sources: NDArray[Any] | None = None
    """The source of each mark, in the shape of `scores`; "" if unknown."""
    notes: tuple[str, ...] = ()
    """What a reader of the numbers has to know of the files."""

    @cached_property
    def signals(self) -> tuple[Signals, ...]:
        """What each prompt shows of the application that sent it."""
        return tuple(signals_of(self.labels, self.prompt_ids))


def data_root(explicit: Path | None = None) -> Path:
    """Return the folder of the data sets, from `--data` or `$COLLEGIUM_DATA`."""
    if explicit is not None:
        return _folder(explicit, "--data names")
    if named := os.environ.get("COLLEGIUM_DATA"):
        return _folder(Path(named), "COLLEGIUM_DATA names")
    raise SetupError(
        "no folder of routing data is configured: pass --data, or set COLLEGIUM_DATA "
        "(docs/guides/outcome-files.md describes the format)"
    )


def data_sets(root: Path) -> tuple[Path, ...]:
    """Return the folders under `root` that hold a routing set."""
    return tuple(sorted(folder for folder in root.glob("*") if holds_set(folder)))


def holds_set(folder: Path) -> bool:
    """Whether a folder has prompts in the format."""
    return any((folder / name).is_file() for name in PROMPT_FILES)


def load_set(folder: Path) -> RoutingData:
    """Read one set; a missing or garbled file is a SetupError that says which, where and why."""
    folder = _folder(folder, "the data set is")
    ids, prompts, labels = _read_prompts(_wanted(folder, PROMPT_FILES, "prompts"))
    rows = {prompt_id: row for row, prompt_id in enumerate(ids)}
    outcomes = _wanted(folder, (*SCORE_FILES, *OUTCOME_FILES), "scores or outcomes")
    if outcomes.name in SCORE_FILES:
        models, scores = read_wide(outcomes, rows, share)
        extras: dict[str, Floats] = {}
        sources = None
    else:
        models, extras, sources = read_long(outcomes, rows)
        scores = extras.pop("score")
    if characters := only_file(folder, CHARACTER_FILES):
        named, table = read_wide(characters, rows, number)
        extras["response_chars"] = _columns(table, named, models)
    prices = read_prices(folder / PRICES)
    scores = marks(scores, labels.get("task"))
    name = folder.resolve().name
    return RoutingData(name, ids, prompts, labels, models, scores, extras, prices, sources)


def _wanted(folder: Path, names: Sequence[str], what: str) -> Path:
    if (found := only_file(folder, names)) is None:
        plain = [name for name in names if not name.endswith(".gz")]
        raise SetupError(
            f"{folder}: has no {what}; expected {', '.join(plain[:-1])} or {plain[-1]}, which may "
            "be gzipped (.gz): docs/guides/outcome-files.md describes them"
        )
    return found


def _columns(table: Floats, named: Sequence[str], wanted: Sequence[str]) -> Floats:
    """Return the columns in the wanted order; NaN where there is none of that name."""
    place = {name: index for index, name in enumerate(named)}
    found = np.full((len(table), len(wanted)), np.nan)
    for column, name in enumerate(wanted):
        if name in place:
            found[:, column] = table[:, place[name]]
    return found


def _folder(path: Path, who: str) -> Path:
    if not path.is_dir():
        raise SetupError(f"{who} '{path}', which is not a folder")
    return path


def _read_prompts(
    path: Path,
) -> tuple[tuple[str, ...], tuple[str, ...], dict[str, tuple[object, ...]]]:
    records: dict[str, dict[str, object]] = {}
    for where, row in read_rows(path):
        record = dict(row)
        if record.get("prompt_id") is None:
            raise SetupError(f"{where}: expected 'prompt_id' and 'prompt', has no 'prompt_id'")
        if not isinstance(record.get("prompt"), str):
            raise SetupError(f"{where}: 'prompt' must be text")
        prompt_id = str(record.pop("prompt_id"))
        if prompt_id in records:
            raise SetupError(f"{where}: prompt_id '{prompt_id}' appears twice; give each its own")
        read_signals(record, where)
        records[prompt_id] = record
    if not records:
        raise SetupError(f"{path}: expected at least one prompt, found none")
    prompts = tuple(str(record.pop("prompt")) for record in records.values())
    names = sorted({name for record in records.values() for name in record})
    labels = {name: tuple(r.get(name) for r in records.values()) for name in names}
    return tuple(records), prompts, labels
