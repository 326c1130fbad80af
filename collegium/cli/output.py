"""How commands print: JSON for machines, aligned columns for people."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def print_json(data: Any) -> None:
    """Print one JSON document; what is not a number is null, for JSON has no NaN."""
    try:
        text = json.dumps(data, indent=2, ensure_ascii=False, default=str, allow_nan=False)
    except ValueError:
        known = json.loads(json.dumps(data, default=str), parse_constant=lambda _: None)
        text = json.dumps(known, indent=2, ensure_ascii=False)
    click.echo(text)


def warn(text: str) -> None:
    """Tell people what a result does not show, where it does not disturb machines."""
    click.echo(f"Warning: {text}", err=True)


def warn_dropped(data: str, count: int) -> None:
    """Say how many prompts of a set are not judged, because somebody learnt from their text."""
    if count:
        warn(f"{count} prompts of '{data}' are not judged: their text is learnt from.")


def print_table(header: Sequence[str], rows: Sequence[Sequence[Any]], *, err: bool = False) -> None:
    """Print columns that are as wide as their widest cell."""
    table = [list(map(str, header)), *(list(map(str, row)) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip(), err=err)
