"""Texts that others wrote, on terminals and in logs: nothing in them steers the reader's screen."""

from __future__ import annotations

import re

CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Characters that end a line, steer a terminal or change the direction of the text."""
_BUT_LINES = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def one_line(text: str) -> str:
    """The text on one line, with such characters escaped."""
    return CONTROLS.sub(_escaped, text)


def lines(text: str) -> str:
    """The text with its lines and tabs, and other such characters escaped."""
    return _BUT_LINES.sub(_escaped, text)


def json_safe(text: str) -> str:
    """A JSON text, indented or not, with such characters in JSON's own escapes."""
    return _BUT_LINES.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _escaped(found: re.Match[str]) -> str:
    return repr(found[0])[1:-1]
