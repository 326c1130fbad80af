"""Output of commands: JSON for programs, aligned columns for people."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import click

from collegium.redaction import json_safe, one_line

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def command_line() -> str:
    """Return the running command line, for a report's provenance."""
    context = click.get_current_context()
    words = context.command_path.split()[1:]
    for parameter in context.command.params:
        value = context.params.get(str(parameter.name))
        if value is None:
            continue
        if not isinstance(parameter, click.Option):
            words += map(str, value if isinstance(value, tuple) else (value,))
        elif value is False and parameter.default:
            words += parameter.secondary_opts[:1]
        elif value is False or value == () or value == parameter.default != 0:
            continue
        elif value is True:
            words += parameter.opts[:1]
        else:
            for each in value if isinstance(value, tuple) else (value,):
                words += [parameter.opts[0], str(each)]
    return shlex.join(["collegium", *words])


def print_json(data: Any) -> None:
    """Print one JSON document; NaN and infinities become null, because JSON has neither."""
    try:
        text = json.dumps(data, indent=2, ensure_ascii=False, default=str, allow_nan=False)
    except ValueError:
        known = json.loads(json.dumps(data, default=str), parse_constant=lambda _: None)
        text = json.dumps(known, indent=2, ensure_ascii=False)
    click.echo(json_safe(text))


def dollars(usd: float) -> str:
    """Four decimals; of less than a tenth of a cent the first two digits that count."""
    small = 0 < abs(usd) < 1e-3
    return f"${usd:.{1 - math.floor(math.log10(abs(usd))) if small else 4}f}"


def agreed(question: str) -> bool:
    """Whether the user says yes; an empty input, Ctrl-C and the end of input mean no."""
    try:
        return click.confirm(question, err=True)
    except click.Abort:
        return False


def warn(text: str) -> None:
    """Print a warning to standard error."""
    click.echo(f"Warning: {one_line(text)}", err=True)


def warn_dropped(data: str, count: int) -> None:
    """Warn about prompts of a set that are excluded because they were trained on."""
    if count:
        warn(f"{count} prompts of '{data}' are not judged: their text is learnt from.")


def print_object(value: Mapping[str, Any], as_json: bool) -> None:
    """Print JSON, or a field a line: lists with commas, objects as JSON, `-` for what is empty."""
    if as_json:
        return print_json(value)
    width = max(map(len, value))
    for field, found in value.items():
        click.echo(f"{field:{width}}  {one_line(_shown(found))}")


def _shown(value: Any) -> str:
    if value in (None, "", [], (), {}):
        return "-"
    if isinstance(value, list | tuple) and all(isinstance(each, str) for each in value):
        return ", ".join(value)
    return json.dumps(value) if isinstance(value, list | tuple | dict) else str(value)


def print_table(header: Sequence[str], rows: Sequence[Sequence[Any]], *, err: bool = False) -> None:
    """Print columns that are as wide as their widest cell; what callers wrote can't steer the
    terminal.
    """
    table = [[one_line(str(cell)) for cell in row] for row in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip(), err=err)
