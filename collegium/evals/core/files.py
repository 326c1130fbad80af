"""Read the files of a routing set, plain or gzipped, CSV or JSON Lines, with line numbers."""

import csv
import gzip
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TextIO

import numpy as np

from collegium.errors import SetupError

LONGEST_FIELD = 2**27
"""Prompts are longer than the 128 KiB that Python's reader of CSV allows by default."""

Row = Mapping[str, object]


def only_file(folder: Path, names: Sequence[str]) -> Path | None:
    """Return the one file of these names that a folder has, if any; two are a SetupError."""
    there = [name for name in names if (folder / name).is_file()]
    if len(there) > 1:
        raise SetupError(f"{folder}: has both '{there[0]}' and '{there[1]}'; keep one of them")
    return folder / there[0] if there else None


def read_rows(path: Path, *, empty: bool = False) -> Iterator[tuple[str, Row]]:
    """Yield a file's rows by their fields' names, each with its file and line.

    Empty cells of CSV are left out, as fields are that an object of JSON lacks, unless `empty`.
    """
    if ".jsonl" in path.suffixes:
        yield from _objects(path)
        return
    table = read_table(path)
    where, header = next(table)
    if len(set(header)) != len(header):
        raise SetupError(f"{where}: a column appears twice: {', '.join(header)}")
    for where, cells in table:
        yield where, {n: cell for n, cell in zip(header, cells, strict=True) if empty or cell != ""}


def columns(path: Path) -> list[str]:
    """Return the names in the header of a CSV file; those of the first object of JSON Lines."""
    if ".jsonl" in path.suffixes:
        return list(next(_objects(path), ("", {}))[1])
    return list(next(read_table(path))[1])


def read_table(path: Path) -> Iterator[tuple[str, Sequence[str]]]:
    """Yield a CSV file's rows with their place; all are as wide as the first."""
    csv.field_size_limit(LONGEST_FIELD)
    reader = csv.reader((line for _, line in _lines(path)), strict=True)
    width = 0
    try:
        for cells in reader:
            if not cells:
                continue
            where = f"{path}, line {reader.line_num}"
            width = width or len(cells)
            if len(cells) != width:
                raise SetupError(
                    f"{where}: expected {width} cells, as in line 1, found {len(cells)}; "
                    "quote cells that hold commas"
                )
            yield where, cells
    except csv.Error as exc:
        raise SetupError(f"{path}, line {reader.line_num}: {exc}") from exc
    if not width:
        raise SetupError(f"{path}: expected a header line, found nothing")


def number(value: object, where: str, name: str) -> float:
    """Read a number that is not negative; nothing was not measured, and is NaN."""
    if value is None or value == "":
        return np.nan
    try:
        found = float(value) if isinstance(value, str | int | float) else np.nan
    except ValueError:
        found = np.nan
    if not 0 <= found < np.inf:
        raise SetupError(
            f"{where}: expected a number of at least 0, or nothing, as '{name}', found '{value}'"
        )
    return found


def share(value: object, where: str, name: str) -> float:
    """Read a number in [0, 1]."""
    found = number(value, where, name)
    if found > 1:
        raise SetupError(
            f"{where}: expected a {name} in [0, 1], found '{value}'; divide all by the highest"
        )
    return found


def _objects(path: Path) -> Iterator[tuple[str, Row]]:
    for count, line in _lines(path):
        if not line.strip():
            continue
        where = f"{path}, line {count}"
        try:
            record = json.loads(line)
        except json.JSONDecodeError as exc:
            raise SetupError(f"{where}: expected a JSON object: {exc}") from exc
        if not isinstance(record, dict):
            raise SetupError(f"{where}: expected a JSON object, one a line; found {line[:20]!r}")
        yield where, record


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield a text file's lines, numbered from 1."""
    count, kind = 0, "gzip text" if path.suffix == ".gz" else "UTF-8 text"
    try:
        with _opened(path) as file:
            for count, line in enumerate(file, start=1):
                yield count, line
    except FileNotFoundError as exc:
        raise SetupError(f"{path}: expected this file, but it is missing") from exc
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as exc:
        raise SetupError(f"{path}, after line {count}: not readable {kind}: {exc}") from exc


def _opened(path: Path) -> TextIO:
    """Open plain or compressed text, skipping a byte order mark."""
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")
