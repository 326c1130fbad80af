"""The result of an import: experts, aliases, and what could not be converted."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
LONGEST_NAME = 64
MOST_EXPERTS = 1000
SECRET = re.compile(r"key|token|secret|password|credential", re.IGNORECASE)


@dataclass
class Found:
    """The result of reading one configuration."""

    experts: list[Json] = field(default_factory=list)
    """Bodies of POST /v1/experts, in the file's order."""
    aliases: dict[str, str] = field(default_factory=dict)
    """Alternative names, or patterns of names, and their experts."""
    left_out: list[str] = field(default_factory=list)
    """What was not converted, in words, with a remedy if there is one."""

    def add(self, wanted: str, body: Mapping[str, Any]) -> str:
        """Add an expert under the wanted name, or one like it that may name an expert."""
        name = self._free(name_of(wanted))
        given = {key: value for key, value in body.items() if value not in (None, "", {}, ())}
        self.experts.append({"name": name, **given})
        if name != wanted and wanted not in self.aliases and wanted not in self._names():
            self.aliases[wanted] = name
        return name

    def skip(self, whose: str, what: str, instead: str = "") -> None:
        """Note something that is not carried over."""
        self.left_out.append(f"{whose}: {what}" + (f" ({instead})" if instead else ""))

    def skip_all(self, whose: str, options: Mapping[str, Any], instead: str = "") -> None:
        """Note several skipped options with their values, but never a secret's."""
        for name, value in options.items():
            told = "" if SECRET.search(name) or isinstance(value, dict | list) else f" {value}"
            self.skip(whose, f"{name}{told}", instead)

    def _names(self) -> set[str]:
        return {expert["name"] for expert in self.experts}

    def _free(self, name: str) -> str:
        taken, number, free = self._names(), 1, name
        while free in taken:
            number += 1
            free = f"{name[: LONGEST_NAME - 5]}-{number}"
        return free


def name_of(wanted: str) -> str:
    """A name that an expert may have: of other characters each becomes a hyphen."""
    name = re.sub(r"[^A-Za-z0-9._-]", "-", wanted).lstrip("._-")[:LONGEST_NAME]
    return name or "expert"


def key_variable(name: str) -> str:
    """Return a variable name for a key that the configuration contains in plain text."""
    return f"{re.sub(r'[^A-Z0-9]', '_', name.upper())}_API_KEY"


def per_million(price: Any) -> float | None:
    """Convert a price per token to a price per million; None if it can't be a price."""
    try:
        dollars = round(float(price) * 1_000_000, 9)
    except (TypeError, ValueError):
        return None
    return dollars if 0 <= dollars < math.inf else None


def whole(value: Any) -> int | None:
    """Return a positive integer, also from text; None otherwise."""
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if 0 < number < 2**31 else None


def mapping(value: Any) -> Mapping[str, Any]:
    """Return a mapping; an empty one if there is none."""
    return {str(k): v for k, v in value.items()} if isinstance(value, Mapping) else {}


def mappings(value: Any) -> Iterable[Mapping[str, Any]]:
    """The mappings of a list."""
    return [mapping(each) for each in value if each] if isinstance(value, list) else []
