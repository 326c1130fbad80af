"""The checker interface, and how answers are read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Protocol

BOXED = re.compile(r"\\boxed\s*\{((?:[^{}]|\{[^{}]*\})*)\}")
HASHES = re.compile(r"^####[ \t]*(.+)$", re.MULTILINE)
STATED = re.compile(
    r"\b(?:final |correct )?(?:answer|result|solution)\b[^\n:.]{0,20}?(?:\bis\b|:)[\s*]*(.+)",
    re.IGNORECASE,
)
FENCE = re.compile(r"```[\w+-]*[ \t]*\n(.*?)```", re.DOTALL)
LONGEST_ANSWER = 50_000
"""Characters of an answer that are read; the rest is ignored."""


class Checker(Protocol):
    """Marks one answer by a program; it is bounded, but may take a second: use a thread."""

    def mark(
        self, request: Mapping[str, Any], answer: Mapping[str, Any], reference: Any
    ) -> float | None:
        """Return a mark from 0 (wrong) to 1 (correct); None if it can't tell, e.g. without a
        reference.

        `request` is the body of a chat request, `answer` the assistant's message.
        """


def text_of(answer: Mapping[str, Any]) -> str:
    """The text of an assistant's message, whose content may be parts or nothing at all."""
    content = answer.get("content")
    if isinstance(content, list):
        parts = (p.get("text") for p in content if isinstance(p, Mapping))
        content = "".join(part for part in parts if isinstance(part, str))
    return content.strip()[:LONGEST_ANSWER] if isinstance(content, str) else ""


def stated(text: str) -> str | None:
    """Return the stated answer of a text: the last box, `####` line or "the answer is …"."""
    for pattern in (BOXED, HASHES, STATED):
        if found := pattern.findall(text):
            return str(found[-1]).strip().strip("*").strip()
    return None


def fenced(text: str) -> list[str]:
    """The contents of the code blocks of a text."""
    return [block.strip() for block in FENCE.findall(text)]


def accepted(reference: Any) -> list[Any]:
    """The accepted answers of a reference, which is one or a list of several."""
    if reference is None:
        return []
    return list(reference) if isinstance(reference, list | tuple) else [reference]
