"""Make foreign texts fit to show: without addresses, paths, keys and control characters."""

from __future__ import annotations

import re

LONGEST = 300
_PLACES = re.compile(
    r"[a-z][a-z0-9+.-]*://\S+"  # URLs
    r"|(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?"  # IPv4 addresses
    r"|(?<![\w:])(?:[0-9a-f]{0,4}:){3,7}[0-9a-f]{0,4}(?![\w:])"  # IPv6 addresses
    r"|(?<![\w./-])(?=[\w.-]*[A-Za-z])[\w-]+(?:\.[\w-]+)*:\d{2,5}\b"  # hosts with ports
    r"|(?<![\w:/])~?/(?:[\w.@+~-]+/)+[\w.@+~-]*"  # absolute paths
    r"|\b(?:sk|pk|rk|org|proj|key|gsk|xai|hf|Bearer|AIza)[-_ ]?[\w*.-]{12,}"  # keys, organisations
    r"|\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b",  # environment variables
)
_TOKENS = re.compile(
    r"(?<=\bbearer )[^\s'\",;(){}\[\]<>]{8,}"  # whatever an Authorization header carries
    r"|\b(?:sk|pk|rk|gsk|xai|hf)[-_][\w*.-]{12,}|\bAIza[\w-]{12,}",
    re.IGNORECASE,
)
SHORTEST_KEY = 8
"""Characters; a shorter key could be any word."""
CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Characters that end a line, steer a terminal or change the direction of the text."""
_BUT_LINES = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def redacted(text: str) -> str:
    """Return the text, shortened, with an ellipsis in place of each address, path or key."""
    return _PLACES.sub("…", text[: 4 * LONGEST])[:LONGEST]


def without_keys(text: str, key: str | None = None) -> str:
    """Return the text with an ellipsis in place of a key and of whatever looks like one.

    Where the text was cut in the middle of the key, its beginning is taken out.
    """
    if key is not None and len(key) >= SHORTEST_KEY:
        for length in range(len(key), SHORTEST_KEY - 1, -1):
            text = text.replace(key[:length], "…")
    return _TOKENS.sub("…", text)


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
