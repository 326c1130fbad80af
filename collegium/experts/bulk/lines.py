"""The lines of a bulk job's input: one request each, in the format of OpenAI's batches."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from collegium.json_bounds import excess, without_half_pairs

Json = dict[str, Any]
LONGEST_ID, LONGEST_MESSAGE = 512, 1000
LONGEST_LINE, MOST_VALUES = 8 << 20, 50_000
"""The same limits as for a single request."""


@dataclass(frozen=True, slots=True)
class Line:
    """One request. `number` counts from 1 and identifies the line, whatever its ids are."""

    number: int
    custom_id: str
    body: Json
    endpoint: str = "/v1/chat/completions"
    """The endpoint of the body."""


@dataclass(frozen=True, slots=True)
class BadLine:
    """An invalid line; `code` is for machines, `message` for people."""

    number: int
    custom_id: str | None
    code: str
    message: str


def read_lines(source: Iterable[bytes], endpoint: str) -> Iterator[Line | BadLine]:
    """Read each line that is not blank; an id that came before makes a bad line."""
    seen: set[str] = set()
    for number, raw in enumerate(source, start=1):
        if not raw.strip():
            continue
        line = read_line(number, raw, endpoint)
        if isinstance(line, Line) and line.custom_id in seen:
            message = f"custom_id {line.custom_id!r} was used on an earlier line"
            line = BadLine(number, line.custom_id, "duplicate_custom_id", message)
        if isinstance(line, Line):
            seen.add(line.custom_id)
        yield line


def read_line(number: int, raw: bytes, endpoint: str) -> Line | BadLine:
    """Parse one line, or describe its error."""
    if len(raw) > LONGEST_LINE:
        words = f"line {number} is longer than {LONGEST_LINE >> 20} MiB"
        return BadLine(number, None, "invalid_json_line", words)
    if (why := excess(raw, MOST_VALUES)) is not None:
        return BadLine(number, None, "invalid_json_line", f"line {number}: {why}")
    try:
        text = raw.decode("utf-8-sig")  # of bytes, JSON's reader would guess the encoding
        fields = json.loads(text, parse_constant=_no_constant)
    except UnicodeDecodeError:
        return BadLine(number, None, "invalid_json_line", f"line {number} is not text in UTF-8")
    except ValueError as exc:
        return BadLine(number, None, "invalid_json_line", f"line {number} is not JSON: {exc}")
    except RecursionError:
        return BadLine(number, None, "invalid_json_line", f"line {number} is nested too deeply")
    if not isinstance(fields, dict):
        return BadLine(number, None, "invalid_json_line", f"line {number} is not a JSON object")
    custom_id = fields.get("custom_id")
    if not isinstance(custom_id, str) or not 0 < len(custom_id) <= LONGEST_ID:
        message = f"line {number}: custom_id must be text of 1 to {LONGEST_ID} letters"
        return BadLine(number, None, "invalid_custom_id", message)
    if fault := _fault(fields, endpoint):
        words = f"line {number}: {fault}"[:LONGEST_MESSAGE]
        return BadLine(number, custom_id, "invalid_request", words)
    body = fields["body"]
    if b"\\ud" in raw or b"\\uD" in raw:  # an escape of half a surrogate pair, or of a whole one
        body = without_half_pairs(body)
    return Line(number, custom_id, body, endpoint)


def _no_constant(name: str) -> None:
    """Python would read NaN, and could not send it on."""
    raise ValueError(f"{name} is not a number")


def _fault(fields: Json, endpoint: str) -> str | None:
    if fields.get("method") != "POST":
        return f"method must be 'POST', not {fields.get('method')!r}"
    if fields.get("url") != endpoint:
        return f"url must be '{endpoint}' as in the batch, not {fields.get('url')!r}"
    if not isinstance(fields.get("body"), dict):
        return "body must be a JSON object"
    if unknown := sorted(fields.keys() - {"custom_id", "method", "url", "body"}):
        return f"unknown fields: {', '.join(unknown)}"
    return None
