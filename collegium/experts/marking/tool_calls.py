"""Checks which tools an answer calls, and with which arguments."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from collegium.experts.marking.json_schema import NOTHING

Call = tuple[str, Any]


@dataclass(frozen=True)
class ToolCall:
    """Compares an answer's tool calls with the reference, in any order.

    The reference is {"name": …, "arguments": {…}}, or a list of them; an empty list asks for an
    answer without calls. A call may name `optional` arguments: they may be missing, or have
    that value. Numbers compare by value, texts in any case and with any blanks. `names_only`
    leaves the arguments unmarked.
    """

    names_only: bool = False

    def mark(
        self, request: Mapping[str, Any], answer: Mapping[str, Any], reference: Any
    ) -> float | None:
        """Return 1 or 0; None without a usable reference."""
        wanted = [reference] if isinstance(reference, Mapping) else reference
        if not isinstance(wanted, list | tuple) or not all(map(_usable, wanted)):
            return None
        calls = calls_of(answer)
        return float(len(calls) == len(wanted) and self._matched(calls, list(wanted)))

    def _matched(self, calls: Sequence[Call], wanted: list[Mapping[str, Any]]) -> bool:
        """Pair calls off greedily, those with the fewest optional arguments first."""
        wanted.sort(key=lambda w: len(w.get("optional") or ()))
        left = list(calls)
        for each in wanted:
            match = next((call for call in left if self._fits(call, each)), None)
            if match is None:
                return False
            left.remove(match)
        return True

    def _fits(self, call: Call, wanted: Mapping[str, Any]) -> bool:
        name, arguments = call
        if name != wanted["name"]:
            return False
        if self.names_only:
            return True
        if not isinstance(arguments, Mapping):
            return False
        optional = wanted.get("optional") or {}
        unasked = arguments.keys() - _arguments(wanted).keys()
        return (
            alike({k: v for k, v in arguments.items() if k not in unasked}, _arguments(wanted))
            and unasked <= optional.keys()
            and all(alike(arguments[k], optional[k]) for k in unasked)
        )


def calls_of(answer: Mapping[str, Any]) -> list[Call]:
    """Name and parsed arguments of an answer's calls; arguments that are no JSON match nothing."""
    calls = answer.get("tool_calls")
    found = []
    for call in calls if isinstance(calls, list) else ():
        function = call.get("function") if isinstance(call, Mapping) else None
        function = function if isinstance(function, Mapping) else {}
        found.append((str(function.get("name")), _parsed(function.get("arguments"))))
    return found


def alike(said: Any, wanted: Any) -> bool:
    """Whether two arguments are the same."""
    if isinstance(wanted, Mapping):
        keys = isinstance(said, Mapping) and said.keys() == wanted.keys()
        return keys and all(alike(said[key], wanted[key]) for key in wanted)
    if isinstance(wanted, list | tuple):
        many = isinstance(said, list) and len(said) == len(wanted)
        return many and all(alike(a, b) for a, b in zip(said, wanted, strict=True))
    if isinstance(said, bool) or isinstance(wanted, bool):
        return said is wanted
    if isinstance(said, str) and isinstance(wanted, str):
        return said.casefold().split() == wanted.casefold().split()
    return bool(said == wanted)


def _parsed(arguments: Any) -> Any:
    if not isinstance(arguments, str):
        return arguments
    try:
        return json.loads(arguments or "{}")
    except (ValueError, RecursionError):
        return NOTHING


def _usable(wanted: Any) -> bool:
    return (
        isinstance(wanted, Mapping)
        and isinstance(wanted.get("name"), str)
        and isinstance(wanted.get("arguments", {}), Mapping)
    )


def _arguments(wanted: Mapping[str, Any]) -> Mapping[str, Any]:
    arguments: Mapping[str, Any] = wanted.get("arguments", {})
    return arguments
