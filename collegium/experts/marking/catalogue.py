"""Checkers by name: entry points `checker.NAME`, and functions of the operator's own."""

from __future__ import annotations

from typing import Any

from collegium.errors import BadRequest, CollegiumError, SettingsError
from collegium.experts.marking.base import Checker
from collegium.extensions import FOREIGN, extensions

PYTHON = "python:"


def checker_of(name: str, *, trusted: bool = False, **options: Any) -> Checker:
    """The checker of this name, with its options.

    BadRequest says that there is none, or what is wrong with the options; SetupError that a
    plugin's can't be used. `python:MODULE:FUNCTION` runs code of the operator's, so it needs
    `trusted`: pass it only for a name from the command line or the settings, never for one from
    the API or from data.
    """
    if name.startswith(PYTHON):
        return _function(name, trusted)
    try:
        make = extensions().load("checker", name)
    except BadRequest as exc:
        words = f"{exc}; and, for the operator, {PYTHON}MODULE:FUNCTION"
        raise BadRequest(words, param="checker") from exc
    try:
        made: Checker = make(**options)
    except TypeError as exc:
        wrong = str(exc).replace(f"{getattr(make, '__name__', '')}.__init__() ", "")
        wrong = wrong.replace("an unexpected keyword argument", "an unknown option")
        raise BadRequest(f"checker '{name}': {wrong}", param="checker") from exc
    except CollegiumError:
        raise
    except FOREIGN as exc:
        words = f"checker '{name}' can't be made: {type(exc).__name__}: {exc}"
        raise SettingsError(words) from exc
    if is_builtin(name):
        return made
    if not callable(getattr(made, "mark", None)):
        raise SettingsError(f"checker '{name}' has no method `mark`")
    from collegium.experts.marking.entry_point import EntryPoint

    return EntryPoint(name, made.mark)


def is_builtin(name: str) -> bool:
    """Whether it is one of Collegium's own checkers."""
    return extensions().is_builtin("checker", name)


def _function(name: str, trusted: bool) -> Checker:
    if not trusted:
        words = f"'{name}' runs code: the operator has to list it in the setting `learn_checkers`"
        raise BadRequest(words, param="checker")
    from collegium.experts.marking.entry_point import entry_point

    return entry_point(name.removeprefix(PYTHON))
