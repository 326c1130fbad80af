"""Checkers from plugins, or functions given as `MODULE:FUNCTION`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from collegium.errors import SettingsError
from collegium.extensions import FOREIGN

Function = Callable[[Mapping[str, Any], Mapping[str, Any], Any], float | bool | None]


@dataclass(frozen=True)
class EntryPoint:
    """Calls `function(request, answer, reference)`; it runs in this process, with its rights."""

    name: str
    function: Function

    def mark(
        self, request: Mapping[str, Any], answer: Mapping[str, Any], reference: Any
    ) -> float | None:
        """The function's mark; raise SettingsError if it fails or isn't a number from 0 to 1."""
        try:
            found = self.function(request, answer, reference)
            mark = None if found is None else float(found)
        except FOREIGN as exc:
            raise SettingsError(f"the checker '{self.name}' failed: {exc!r}") from exc
        if mark is not None and not 0 <= mark <= 1:
            raise SettingsError(
                f"the checker '{self.name}' returned {mark}, not a mark from 0 to 1"
            )
        return mark


def entry_point(name: str) -> EntryPoint:
    """Import the function."""
    module, colon, function = name.partition(":")
    if not (module and colon and function):
        raise SettingsError(f"'python:{name}' is not a checker: write python:MODULE:FUNCTION")
    try:
        found = getattr(import_module(module), function)
    except FOREIGN as exc:
        raise SettingsError(f"there is no checker 'python:{name}': {exc!r}") from exc
    if not callable(found):
        raise SettingsError(f"'python:{name}' is not a function")
    return EntryPoint(f"python:{name}", found)
