"""CSV files with a header, as the public sets have them."""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

from collegium.errors import SetupError

LONGEST_FIELD = 2**27


def read_csv(path: Path) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield the rows by their columns' names, each with its place."""
    csv.field_size_limit(LONGEST_FIELD)  # answers of models are longer than csv expects
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            for row in reader:
                if None in row or None in row.values():
                    raise SetupError(f"{path}, line {reader.line_num}: not as wide as the header")
                yield f"{path}, line {reader.line_num}", row
    except (OSError, UnicodeDecodeError, csv.Error) as exc:
        raise SetupError(f"{path}: expected a CSV file: {exc}") from exc


def header(path: Path) -> list[str]:
    """Return the names of a CSV file's columns; none where it is not readable."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return next(csv.reader(file), [])
    except (OSError, UnicodeDecodeError, csv.Error):
        return []
