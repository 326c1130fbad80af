"""Reduce an answer to a key, so that equivalent answers compare as equal."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

Kind = Literal["tools", "json", "sql", "option", "number", "text"]
NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?(?:[eE][-+]?\d+)?")
BOXED = re.compile(r"\\boxed\{([^{}]*)\}")
FINAL = re.compile(r"(?:final answer|answer)\b[^\n:]{0,20}(?:is|:)\s*(.+)", re.IGNORECASE)
OPTION = re.compile(r"\(?([A-Ja-j])\)?(?:[).:]\s.*)?[.!]?", re.DOTALL)
STATED = re.compile(r"(?:answer|option|choice)\s*(?:is|:)?\s*\(?([A-J])\)?(?![A-Za-z])")
SQL = re.compile(r"(select|insert|update|delete|with|create)\b", re.IGNORECASE)
FENCE = re.compile(r"```[a-zA-Z]*\n(.*?)```", re.DOTALL)
LONGEST = 100  # digits of a number
SHORT = 60
"""A number or a letter in a longer text without "answer:" before it is not its point."""


@dataclass(frozen=True, order=True)
class Key:
    """Equal keys are votes for the same answer."""

    kind: Kind
    value: str


def key_of(message: Mapping[str, Any]) -> Key:
    """Return the key of one answer; it depends on this answer alone."""
    calls = message.get("tool_calls")
    if isinstance(calls, list) and calls:
        return Key("tools", _canonical([_called(call) for call in calls]))
    text = str(message.get("content") or "").strip()
    fenced = FENCE.search(text)
    inner = fenced.group(1).strip() if fenced else text
    if (key := _json(inner) or _sql(inner)) is not None:
        return key
    point = _point(text)
    if (key := _option(point) or _number(point)) is not None:
        return key
    if stated := STATED.findall(text):
        return Key("option", stated[-1].upper())
    return Key("text", " ".join(text.casefold().split()))


def _called(call: Any) -> list[Any]:
    function = call.get("function") if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping):
        return [None, call]
    arguments = function.get("arguments") or ""
    if isinstance(arguments, str):
        with suppress(ValueError, RecursionError):
            arguments = json.loads(arguments)
    return [function.get("name"), arguments]


def _json(text: str) -> Key | None:
    if text[:1] not in ("{", "["):
        return None
    try:
        return Key("json", _canonical(json.loads(text, parse_float=_number_of)))
    except (ValueError, RecursionError):
        return None


def _number_of(text: str) -> float | int:
    """1.0 and 1 are the same number."""
    value = float(text)
    return int(value) if value.is_integer() else value


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _sql(text: str) -> Key | None:
    """Blanks, letter case outside quotes and the last semicolon mean nothing in SQL."""
    if not SQL.match(text):
        return None
    pieces = re.split(r"('(?:[^']|'')*')", text.rstrip("; \n"))
    normal = [p if p.startswith("'") else _loose_sql(p) for p in pieces]
    return Key("sql", re.sub(r"\s+", " ", "".join(normal)).strip())


def _loose_sql(piece: str) -> str:
    spaced = re.sub(r"\s*([=<>!]+|[(),*+/-])\s*", r" \1 ", piece.lower())
    return re.sub(r"\s+", " ", spaced)


def _point(text: str) -> str:
    """Return the statement of the answer in a text, or the text itself if it is short."""
    for pattern in (BOXED, FINAL):
        if found := pattern.findall(text):
            return str(found[-1]).strip().strip("*").strip()
    return text if len(text) <= SHORT else ""


def _option(point: str) -> Key | None:
    match = OPTION.fullmatch(point)
    return None if match is None else Key("option", match.group(1).upper())


def _number(point: str) -> Key | None:
    found = NUMBER.findall(point)
    if len(found) != 1:
        return None
    try:
        value = Decimal(found[0].replace(",", "")).normalize()
    except ArithmeticError:  # beyond all bounds
        return None
    if abs(value.adjusted()) > LONGEST:
        return None
    unit = NUMBER.sub("", point, count=1).strip(" .$€£*=").casefold()
    if len(unit.split()) > 2:  # a sentence with a number in it
        return None
    return Key("number", f"{value:f} {unit}".strip())
