"""Parse upstream errors in the formats of various vendors."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from collegium.experts.clients.connection import parsed_json

LONGEST = 4000
NAMES = ("code", "type", "status", "reason", "error_type", "@type", "retryDelay")
"""Fields whose values are names for machines: what is searched beside the message."""
WORDS = ("message", "msg", "detail", "error", "error_description", "raw")
MOST_PARTS = 50
STATUS = re.compile(r"[45][0-9]{2}")
MOST_VALUES = 5000
SHORTEST_QUOTE = 8
QUOTED = "…"
FIXED = ("type", "role", "format", "tool_choice", "reasoning_effort", "modalities", "model")
"""Fields with fixed values: an upstream that names one of the values refers to something it lacks.
"""
CHOSEN = ("properties", "$defs", "definitions", "metadata")
"""Fields whose own fields a caller names."""


@dataclass(frozen=True)
class ErrorDetails:
    """How an upstream describes a failure."""

    status: int
    """The HTTP status, or the one that an error in a stream names; 0 if there is none."""
    message: str
    code: str = ""
    """Every name or code in the error, in lower case."""
    param: str = ""
    """The wrong field of the request, as the upstream writes it."""
    own: str | None = None
    """The message without its quotes from the request, if any were removed."""

    @property
    def words(self) -> str:
        """The upstream's own words."""
        return self.message if self.own is None else self.own

    @property
    def text(self) -> str:
        """Names and own words together, in lower case."""
        return f"{self.code} {self.words}".lower()


def parse_error(status: int, data: bytes, otherwise: str = "") -> ErrorDetails:
    """Parse a response that is not a success."""
    text = data.decode(errors="replace")
    try:
        answer = parsed_json(data)
    except ValueError:
        answer = None
    return details_of(status, answer, text[:300] or otherwise)


def details_of(status: int, answer: Any, otherwise: str = "") -> ErrorDetails:
    """Parse an error object of any vendor."""
    words: list[str] = []
    names: list[str] = []
    params: list[str] = []
    for part in _parts(answer):
        names += [str(part[n]) for n in NAMES if isinstance(part.get(n), str | int) and part[n]]
        words += [v.strip() for n in WORDS if isinstance(v := part.get(n), str) and v.strip()]
        if isinstance(param := part.get("param"), str) and param:
            params.append(param)
        if isinstance(where := part.get("loc"), list):  # pydantic's, as Mistral and vLLM send it
            params.append(".".join(map(str, where)))
    message = ": ".join(dict.fromkeys(words)) or otherwise
    code = " ".join(names).lower()
    found = status or next((int(n) for n in names if STATUS.fullmatch(n)), 0)
    return ErrorDetails(found, message[:LONGEST], code[:LONGEST], params[0] if params else "")


def unquoted(told: ErrorDetails, body: Mapping[str, Any]) -> ErrorDetails:
    """Remove the caller's own words that the error quotes, which say nothing about the upstream.

    A tool may be called "You exceeded your current quota". Names that protocols define, such as
    types, are kept.
    """
    said = told.message
    for text in sorted(set(_callers_words(body)), key=len, reverse=True):
        said = said.replace(text, QUOTED)
    return told if said == told.message else replace(told, own=said)


def _callers_words(body: Mapping[str, Any]) -> Iterator[str]:
    """Texts that a caller chose: values, and the names of a schema's properties."""
    left: list[tuple[str, Any]] = [("", body)]
    for _ in range(MOST_VALUES):
        if not left:
            return
        name, value = left.pop()
        if isinstance(value, Mapping):
            if name in CHOSEN:
                left += [("", str(key)) for key in value]
            left += [(str(key), each) for key, each in value.items() if key not in FIXED]
        elif isinstance(value, list):
            left += [(name, each) for each in value]
        elif isinstance(value, str) and len(value) >= SHORTEST_QUOTE:
            yield value


def is_error(answer: Mapping[str, Any]) -> bool:
    """Whether a response is an error; some upstreams send errors with status 200."""
    return bool(answer.get("error")) or answer.get("object") == "error"


def _parts(answer: Any) -> Iterator[Mapping[str, Any]]:
    """Every object of an error, outermost first: an error in a list, its details, its cause."""
    left, seen = [answer], 0
    while left and seen < MOST_PARTS:
        part = left.pop(0)
        seen += 1
        if isinstance(part, list):
            left = [*part[:MOST_PARTS], *left]
        elif isinstance(part, Mapping):
            yield part
            left += [v for v in part.values() if isinstance(v, Mapping | list)]
