"""Read a folder of routing data: prompts, and how well each model answered them.

The format is `prompts.jsonl.gz` (one object a line: `prompt_id`, `prompt`, optional labels) with
`scores.csv.gz` (wide: a column a model) or `outcomes.csv.gz` (long: `prompt_id,model,score` and
optional `cost_usd,in_tokens,out_tokens,latency_s`). A score lies in [0, 1]; empty: not measured.
Optional beside them: `response_chars.csv.gz` (wide, characters generated) and `model_prices.json`.
"""

import csv
import gzip
import json
import os
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from collegium.errors import SetupError
from collegium.evals.arrays import Floats
from collegium.evals.marks import marks
from collegium.evals.prices import PRICES, Price, read_prices

PROMPTS = "prompts.jsonl.gz"
SCORES = "scores.csv.gz"
OUTCOMES = "outcomes.csv.gz"
RESPONSE_CHARS = "response_chars.csv.gz"
EXTRAS = ("cost_usd", "in_tokens", "out_tokens", "latency_s")
SHARED_DATA = Path("../shared/data")


@dataclass(frozen=True)
class RoutingData:
    """Prompts by models: what each model scored on each prompt, NaN where nobody measured."""

    name: str
    prompt_ids: tuple[str, ...]
    prompts: tuple[str, ...]
    labels: Mapping[str, tuple[object, ...]]
    """Every other field of the prompts, in their order; None where a prompt lacks it."""
    models: tuple[str, ...]
    scores: Floats
    extras: Mapping[str, Floats] = field(default_factory=dict)
    """The columns of `EXTRAS` and `response_chars`, where recorded, in the shape of `scores`."""
    prices: Mapping[str, Price] = field(default_factory=dict)
    """List prices of those models whose price is known."""


def data_root(explicit: Path | None = None) -> Path:
    """Return the folder of the data sets: `--data`, `$COLLEGIUM_DATA` or `../shared/data`."""
    if explicit is not None:
        return _folder(explicit, "--data names")
    if named := os.environ.get("COLLEGIUM_DATA"):
        return _folder(Path(named), "COLLEGIUM_DATA names")
    checkout = Path(__file__).resolve().parents[2]
    for start in (Path.cwd(), checkout):
        if (start / SHARED_DATA).is_dir():
            return (start / SHARED_DATA).resolve()
    raise SetupError(
        f"there is no routing data at '{SHARED_DATA}': "
        "give its folder with --data or COLLEGIUM_DATA"
    )


def data_sets(root: Path) -> tuple[Path, ...]:
    """Return the folders under `root` that hold a routing set."""
    return tuple(sorted(path.parent for path in root.glob(f"*/{PROMPTS}")))


def load_set(folder: Path) -> RoutingData:
    """Read one set; a missing or garbled file is a SetupError that says which, where and why."""
    ids, prompts, labels = _read_prompts(_folder(folder, "the data set is") / PROMPTS)
    rows = {prompt_id: row for row, prompt_id in enumerate(ids)}
    if (folder / SCORES).is_file():
        models, scores = _read_wide(folder / SCORES, rows, _score)
        extras: dict[str, Floats] = {}
    elif (folder / OUTCOMES).is_file():
        models, columns = _read_long(folder / OUTCOMES, rows)
        scores, extras = columns.pop("score"), columns
    else:
        raise SetupError(f"{folder}: has neither '{SCORES}' nor '{OUTCOMES}'")
    if (folder / RESPONSE_CHARS).is_file():
        named, chars = _read_wide(folder / RESPONSE_CHARS, rows, _number)
        extras["response_chars"] = _columns(chars, named, models)
    prices = read_prices(folder / PRICES)
    scores = marks(scores, labels.get("task"))
    return RoutingData(folder.name, ids, prompts, labels, models, scores, extras, prices)


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
    for number, line in _lines(path):
        where = f"{path}, line {number}"
        try:
            record = json.loads(line)
        except json.JSONDecodeError as exc:
            raise SetupError(f"{where}: expected a JSON object: {exc}") from exc
        if not isinstance(record, dict) or "prompt_id" not in record:
            raise SetupError(f"{where}: expected an object with 'prompt_id' and 'prompt'")
        if not isinstance(record.get("prompt"), str):
            raise SetupError(f"{where}: 'prompt' must be text")
        prompt_id = str(record.pop("prompt_id"))
        if prompt_id in records:
            raise SetupError(f"{where}: prompt_id '{prompt_id}' appears twice")
        records[prompt_id] = record
    if not records:
        raise SetupError(f"{path}: expected at least one prompt, found none")
    prompts = tuple(str(record.pop("prompt")) for record in records.values())
    names = sorted({name for record in records.values() for name in record})
    labels = {name: tuple(r.get(name) for r in records.values()) for name in names}
    return tuple(records), prompts, labels


def _read_wide(
    path: Path, rows: Mapping[str, int], read: Callable[[str, str], float]
) -> tuple[tuple[str, ...], Floats]:
    table = _table(path)
    _, header = next(table)
    models = tuple(header[1:])
    if header[0] != "prompt_id" or not models or len(set(models)) != len(models):
        raise SetupError(f"{path}, line 1: expected 'prompt_id,<model>,…' with different models")
    scores = np.full((len(rows), len(models)), np.nan)
    seen: set[int] = set()
    for where, cells in table:
        row = _row(cells[0], rows, where)
        if row in seen:
            raise SetupError(f"{where}: prompt_id '{cells[0]}' appears twice")
        seen.add(row)
        scores[row] = [read(cell, where) for cell in cells[1:]]
    return models, scores


def _read_long(path: Path, rows: Mapping[str, int]) -> tuple[tuple[str, ...], dict[str, Floats]]:
    table = _table(path)
    _, header = next(table)
    if header[:3] != ["prompt_id", "model", "score"] or not set(header[3:]) <= set(EXTRAS):
        extras = "".join(f"[,{name}]" for name in EXTRAS)
        raise SetupError(f"{path}, line 1: expected 'prompt_id,model,score{extras}'")
    cells: dict[tuple[int, str], list[float]] = {}
    for where, (prompt_id, model, score, *extra) in table:
        key = (_row(prompt_id, rows, where), model)
        if key in cells:
            raise SetupError(f"{where}: '{prompt_id}' with model '{model}' appears twice")
        cells[key] = [_score(score, where), *(_number(cell, where) for cell in extra)]
    if not cells:
        raise SetupError(f"{path}: expected at least one outcome, found none")
    models = tuple(dict.fromkeys(model for _, model in cells))
    column = {model: index for index, model in enumerate(models)}
    values = np.full((len(header) - 2, len(rows), len(models)), np.nan)
    for (row, model), numbers in cells.items():
        values[:, row, column[model]] = numbers
    return models, dict(zip(header[2:], values, strict=True))


def _row(prompt_id: str, rows: Mapping[str, int], where: str) -> int:
    if prompt_id not in rows:
        raise SetupError(f"{where}: prompt_id '{prompt_id}' is not in {PROMPTS}")
    return rows[prompt_id]


def _score(cell: str, where: str) -> float:
    value = _number(cell, where)
    if value > 1:
        raise SetupError(f"{where}: expected a score in [0, 1], found '{cell}'")
    return value


def _number(cell: str, where: str) -> float:
    """Read a number that is not negative; an empty cell was not measured."""
    if not cell:
        return np.nan
    try:
        value = float(cell)
    except ValueError:
        value = np.nan
    if not 0 <= value < np.inf:
        raise SetupError(f"{where}: expected a number, or nothing, found '{cell}'")
    return value


def _table(path: Path) -> Iterator[tuple[str, Sequence[str]]]:
    """Yield a CSV file's rows with their place; all are as wide as the first."""
    reader = csv.reader((line for _, line in _lines(path)), strict=True)
    width = 0
    try:
        for cells in reader:
            where = f"{path}, line {reader.line_num}"
            width = width or len(cells)
            if not cells or len(cells) != width:
                raise SetupError(f"{where}: expected {width} cells, found {len(cells)}")
            yield where, cells
    except csv.Error as exc:
        raise SetupError(f"{path}, line {reader.line_num}: {exc}") from exc
    if not width:
        raise SetupError(f"{path}: expected a header line, found nothing")


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield a compressed text file's lines, numbered from 1."""
    number = 0
    try:
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            for number, line in enumerate(file, start=1):
                yield number, line
    except FileNotFoundError as exc:
        raise SetupError(f"{path}: expected this file, but it is missing") from exc
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as exc:
        raise SetupError(f"{path}, after line {number}: not readable gzip text: {exc}") from exc
