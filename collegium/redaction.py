"""Remove addresses, paths and keys from a text."""

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


def redacted(text: str) -> str:
    """Return the text, shortened, with an ellipsis in place of each address, path or key."""
    return _PLACES.sub("…", text[: 4 * LONGEST])[:LONGEST]
