"""Checks the number that an answer states."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from collegium.experts.marking.base import BOXED, HASHES, STATED, accepted, text_of
from collegium.experts.marking.units import unit_of

_DIGITS = r"(?:\d{1,3}(?:[,'_ \u00a0\u2009\u202f]\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+"
_POWER = r"(?:[eE][-+]?\d{1,3}(?!\d)|\s*(?:×|x|\\times|\*)\s*10\s*\^\s*\{?[-+]?\d{1,3}\}?)?"  # noqa: RUF001
NUMBER = re.compile(
    rf"(?P<before>[$€£])?\s*(?P<sign>(?<![\w.)])[-+])?\s*(?P<currency>[$€£])?"
    rf"(?P<digits>{_DIGITS})(?P<power>{_POWER})(?:/(?P<under>\d+)(?![\d/.]))?"
    r"\s*(?P<unit>°?[A-Za-z%€£$°]+(?:/[A-Za-z]+)?)?"
)
FRACTION = re.compile(r"\\[dt]?frac\s*\{([^{}]+)\}\s*\{([^{}]+)\}")
TEXT = re.compile(r"\\(?:text|mathrm)\s*\{([^{}]*)\}")
DIVISION = re.compile(r"(\d+)/(\d+)")
AT_ONCE = re.compile(r"[^A-Za-z\d]*(?:[A-Za-z]+[^A-Za-z\d]*)?\d")
TEN = re.compile(r"[-+]?\d+")
CLOSE = 1e-6


@dataclass(frozen=True)
class Quantity:
    """A number and its unit, if a known one follows."""

    value: float
    unit: str | None


@dataclass(frozen=True)
class Number:
    """Compares the answer's number with the reference, such as 12, "12.5 km" or a list of several.

    The number is the one in the last box, after `####` or after "the answer is", else the last of
    all. `tolerance` is relative, and `absolute` is added to it; a reference may be
    {"value": …, "unit": …, "tolerance": …, "absolute": …}. A unit that differs is wrong, a missing
    one is not.
    """

    tolerance: float = CLOSE
    absolute: float = 0.0

    def mark(
        self, request: Mapping[str, Any], answer: Mapping[str, Any], reference: Any
    ) -> float | None:
        """Return 1 or 0; None without a number to compare with."""
        wanted = [each for r in accepted(reference) if (each := self._wanted(r)) is not None]
        if not wanted:
            return None
        said = number_of(text_of(answer))
        return float(said is not None and any(_same(said, *each) for each in wanted))

    def _wanted(self, reference: Any) -> tuple[Quantity, float] | None:
        """The right quantity and by how much an answer may miss it."""
        stated = reference if isinstance(reference, Mapping) else {}
        value = quantity_of(stated.get("value", reference) if stated else reference)
        if value is None:
            return None
        unit = unit_of(str(stated["unit"])) if stated.get("unit") else value.unit
        relative = float(stated.get("tolerance", self.tolerance))
        absolute = float(stated.get("absolute", self.absolute))
        return Quantity(value.value, unit), absolute + relative * abs(value.value) + 1e-12


def number_of(text: str) -> Quantity | None:
    """Return the number that a text states; None if there is none."""
    for pattern in (BOXED, HASHES):
        if found := pattern.findall(text):
            return _only(str(found[-1]))
    if (found := STATED.findall(text)) and (number := _first(str(found[-1]))) is not None:
        return number
    numbers = quantities(text)
    return numbers[-1] if numbers else None


def quantity_of(value: Any) -> Quantity | None:
    """A reference's number."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str):
        return _only(value)
    return Quantity(float(value), None) if abs(value) < 1e300 else None


def quantities(text: str) -> list[Quantity]:
    """Return all numbers of a text, in order."""
    plain = DIVISION.sub(_apart, _plain(text))
    found = (_quantity(match) for match in NUMBER.finditer(plain))
    return [each for each in found if each is not None]


def _apart(division: re.Match[str]) -> str:
    """Whether a fraction is left to calculate: 3/4 is a number, 60/10 is not."""
    whole, part = int(division[1][:15]), int(division[2][:15])
    return f"{division[1]} / {division[2]}" if part and whole % part == 0 else division[0]


def _only(text: str) -> Quantity | None:
    """The last number of a short text: "x = 3" and "12 km" have one."""
    numbers = quantities(text)
    return numbers[-1] if numbers else None


def _first(text: str) -> Quantity | None:
    """Return the number of a statement: after its last equals sign, or its first one.

    It has to come at once: "the solution is to add 3 and 4" states none.
    """
    for part in (text.rpartition("=")[2], text):
        numbers = quantities(part)
        if numbers and AT_ONCE.match(_plain(part)):
            return numbers[0]
    return None


def _plain(text: str) -> str:
    """Without what LaTeX, Markdown and typographers put around numbers."""
    text = text.replace("\u2212", "-").replace("{,}", ",").replace("\\,", "").replace("**", "")
    text = text.replace("\\$", "$").replace("\\%", "%").replace("\\!", "")
    return FRACTION.sub(r"\1/\2", TEXT.sub(r" \1", text))


def _quantity(match: re.Match[str]) -> Quantity | None:
    try:
        value = float(re.sub(r"[,'_ \u00a0\u2009\u202f]", "", match["digits"]))
        if power := match["power"]:
            value *= 10.0 ** int(TEN.findall(power)[-1])
        if match["under"]:
            value /= float(match["under"])
    except (ArithmeticError, ValueError):
        return None
    if not math.isfinite(value):
        return None
    sign = -1.0 if match["sign"] == "-" else 1.0
    unit = match["before"] or match["currency"] or match["unit"] or ""
    return Quantity(sign * value, unit_of(unit))


def _same(said: Quantity, right: Quantity, miss: float) -> bool:
    units = {said.unit, right.unit} - {None}
    return len(units) < 2 and abs(said.value - right.value) <= miss
