"""Scores by prompt and model: wide (one column per model) or long (one row per outcome)."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collegium.errors import SetupError
from collegium.evals.core.arrays import Floats
from collegium.evals.core.files import Row, columns, number, read_rows, read_table, share

EXTRAS = ("cost_usd", "in_tokens", "out_tokens", "latency_s")
"""Numbers that an outcome may have beside its score."""
RELIABILITY, SOURCE = "reliability", "source"
"""How much a mark can be trusted, in [0, 1], 1 where nothing is said; and who gave it."""
NEEDED = ("prompt_id", "model", "score")
KNOWN = (*NEEDED, *EXTRAS, RELIABILITY, SOURCE)

Cells = dict[tuple[int, str], tuple[str, Row]]
"""By row and model: where an outcome stands, and what stands there."""


def read_wide(
    path: Path, rows: Mapping[str, int], read: Callable[[object, str, str], float]
) -> tuple[tuple[str, ...], Floats]:
    """Read `prompt_id,<model>,…`; shape (prompts, models), NaN where nothing stands."""
    table = read_table(path)
    where, header = next(table)
    models = tuple(header[1:])
    if header[0] != "prompt_id" or not models or len(set(models)) != len(models):
        raise SetupError(f"{where}: expected 'prompt_id,<model>,…' with different models")
    scores = np.full((len(rows), len(models)), np.nan)
    seen: set[int] = set()
    for where, cells in table:
        row = _row(cells[0], rows, where)
        if row in seen:
            raise SetupError(f"{where}: prompt_id '{cells[0]}' appears twice")
        seen.add(row)
        named = zip(models, cells[1:], strict=True)
        scores[row] = [read(cell, where, f"score of {model}") for model, cell in named]
    if not seen:
        raise SetupError(f"{path}: expected at least one row below the header, found none")
    return models, scores


def read_long(
    path: Path, rows: Mapping[str, int]
) -> tuple[tuple[str, ...], dict[str, Floats], NDArray[Any] | None]:
    """Read a row an outcome: models, the numbers by their names, and who gave the marks.

    Numbers have the shape (prompts, models), NaN where nothing stands; so have the sources, which
    are None if no outcome names one.
    """
    cells = _cells(path, rows)
    models = tuple(dict.fromkeys(model for _, model in cells))
    column = {model: index for index, model in enumerate(models)}
    shape = len(rows), len(models)
    given = {name for _, record in cells.values() for name in record}
    tables = {n: np.full(shape, np.nan) for n in ("score", *EXTRAS) if n in given or n == "score"}
    if RELIABILITY in given:
        tables[RELIABILITY] = np.ones(shape)
    sources = np.full(shape, "", dtype=object)
    for (row, model), (where, record) in cells.items():
        for name, table in tables.items():
            if record.get(name) is not None:
                read = share if name in ("score", RELIABILITY) else number
                table[row, column[model]] = read(record[name], where, name)
        sources[row, column[model]] = str(record.get(SOURCE) or "")
    return models, tables, sources if SOURCE in given else None


def _cells(path: Path, rows: Mapping[str, int]) -> Cells:
    if ".jsonl" not in path.suffixes:
        _check_names(columns(path), f"{path}, line 1", missing=True)
    cells: Cells = {}
    for where, record in read_rows(path):
        _check_names(list(record), where, missing=False)
        prompt_id, model = record.get("prompt_id"), record.get("model")
        if prompt_id is None or not isinstance(model, str):
            raise SetupError(f"{where}: expected a 'prompt_id' and the name of a 'model'")
        key = _row(str(prompt_id), rows, where), model
        if key in cells:
            raise SetupError(f"{where}: '{prompt_id}' with model '{model}' appears twice")
        cells[key] = where, record
    if not cells:
        raise SetupError(f"{path}: expected at least one outcome, found none")
    return cells


def _check_names(found: list[str], where: str, *, missing: bool) -> None:
    """Refuse unknown columns, which may be misspelt."""
    unknown = [name for name in found if name not in KNOWN]
    lacking = [name for name in NEEDED if name not in found] if missing else []
    if not unknown and not lacking:
        return
    wrong = f"'{unknown[0]}' is unknown" if unknown else f"'{lacking[0]}' is missing"
    optional = ", ".join(KNOWN[len(NEEDED) :])
    raise SetupError(f"{where}: expected {','.join(NEEDED)} and any of {optional}; {wrong}")


def _row(prompt_id: str, rows: Mapping[str, int], where: str) -> int:
    if prompt_id not in rows:
        raise SetupError(
            f"{where}: prompt_id '{prompt_id}' is not among the prompts; add it there, or leave "
            "the outcome out"
        )
    return rows[prompt_id]
