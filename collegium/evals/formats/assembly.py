"""Assemble a routing set from single outcomes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from collegium.errors import SetupError
from collegium.evals.core.data import RoutingData
from collegium.evals.core.marks import marks
from collegium.evals.core.prices import Price
from collegium.evals.core.tables import EXTRAS


@dataclass
class Assembly:
    """Prompts with labels, and the numbers of each prompt and model as they are found."""

    name: str
    prompts: dict[str, str] = field(default_factory=dict)
    labels: dict[str, dict[str, object]] = field(default_factory=dict)
    cells: dict[tuple[str, str], dict[str, float]] = field(default_factory=dict)
    prices: dict[str, Price] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add_prompt(self, prompt_id: str, prompt: str, **labels: object) -> None:
        """Keep a prompt; the first text of an id counts."""
        self.prompts.setdefault(prompt_id, prompt)
        self.labels.setdefault(prompt_id, labels)

    def add_cell(
        self, prompt_id: str, model: str, score: object, where: str, **more: object
    ) -> None:
        """Add a score in [0, 1] with its costs or tokens; None if unmeasured."""
        value = number(score, where)
        if value is None:
            return
        if not 0 <= value <= 1:
            raise SetupError(f"{where}: expected a score in [0, 1], found {score!r}")
        read = {name: number(other, where) for name, other in more.items()}
        known = {name: other for name, other in read.items() if other is not None}
        self.cells[prompt_id, model] = {"score": value, **known}

    def data(self, source: Path) -> RoutingData:
        """Return the set; `source` is named where nothing was found."""
        if not self.cells:
            raise SetupError(f"{source}: found no outcome in any of its files")
        row = {prompt_id: index for index, prompt_id in enumerate(self.prompts)}
        models = tuple(dict.fromkeys(model for _, model in self.cells))
        column = {model: index for index, model in enumerate(models)}
        tables = np.full((1 + len(EXTRAS), len(row), len(models)), np.nan)
        for (prompt_id, model), cell in self.cells.items():
            for table, name in zip(tables, ("score", *EXTRAS), strict=True):
                table[row[prompt_id], column[model]] = cell.get(name, np.nan)
        names = sorted({name for labels in self.labels.values() for name in labels})
        labels = {name: tuple(each.get(name) for each in self.labels.values()) for name in names}
        extras = dict(zip(EXTRAS, tables[1:], strict=True))
        return RoutingData(
            self.name,
            tuple(row),
            tuple(self.prompts.values()),
            labels,
            models,
            marks(tables[0], labels.get("task")),
            {name: table for name, table in extras.items() if np.isfinite(table).any()},
            {model: self.prices[model] for model in models if model in self.prices},
            notes=tuple(self.notes),
        )


def number(value: object, where: str) -> float | None:
    """Read a number or a truth value, also from text; nothing and NaN are None."""
    words = {"true": 1.0, "false": 0.0, "": np.nan, "nan": np.nan, "none": np.nan}
    if value is None:
        return None
    if isinstance(value, bool | int | float):
        found = float(value)
    else:
        text = str(value).strip().lower()
        try:
            found = words[text] if text in words else float(text)
        except ValueError as exc:
            raise SetupError(f"{where}: expected a number, found {value!r}") from exc
    return None if np.isnan(found) else found


def read_json(path: Path) -> object:
    """Read a JSON file; what is wrong with it is a SetupError."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as exc:
        raise SetupError(f"{path}: expected JSON: {exc}") from exc


def mapping(value: object, where: str) -> Mapping[str, object]:
    """Return an object of JSON as one, or say where none is."""
    if not isinstance(value, dict):
        raise SetupError(f"{where}: expected a JSON object")
    return value
