"""The built-in checkers by name, and checkers of the operator's own."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from collegium.errors import BadRequest
from collegium.experts.marking.base import Checker

PYTHON = "python:"
_PACKAGE = "collegium.experts.marking"
CHECKERS = {
    "reference": ("texts", "Reference"),
    "number": ("numbers", "Number"),
    "option": ("options", "Option"),
    "json_schema": ("json_schema", "JsonSchema"),
    "sql": ("sql", "Sql"),
    "regex": ("patterns", "Regex"),
    "tool_call": ("tool_calls", "ToolCall"),
}
"""Module and class of each; they are imported when they are asked for."""


def checker_of(name: str, *, trusted: bool = False, **options: Any) -> Checker:
    """The checker of this name, with its options.

    `python:MODULE:FUNCTION` runs code of the operator's, so it needs `trusted`: pass it only for a
    name from the command line or the settings, never for one from the API or from data.
    """
    if name.startswith(PYTHON) and trusted:
        from collegium.experts.marking.entry_point import entry_point

        return entry_point(name.removeprefix(PYTHON))
    if name not in CHECKERS:
        raise BadRequest(_unknown(name), param="checker")
    module, maker = CHECKERS[name]
    try:
        made: Checker = getattr(import_module(f"{_PACKAGE}.{module}"), maker)(**options)
    except TypeError as exc:
        raise BadRequest(f"checker '{name}': {exc}", param="checker") from exc
    return made


def _unknown(name: str) -> str:
    if name.startswith(PYTHON):
        return f"'{name}' runs code, so only the service's operator may name it"
    return (
        f"there is no checker '{name}'; there is {', '.join(CHECKERS)} "
        f"and, for the operator, {PYTHON}MODULE:FUNCTION"
    )
