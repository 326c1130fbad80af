"""What a conversation asks for now: the text that is routed on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

FEWEST_WORDS = 4
"""A shorter message ("yes", "and backwards?") is read together with the one before it."""


def query_text(messages: Sequence[Mapping[str, Any]]) -> str:
    """The last user message, with the one before it when it says too little by itself.

    Answers of tools are skipped, so that a tool loop is routed as its question was.
    """
    asked = [text for m in messages if m.get("role") == "user" and (text := text_of(m))]
    if not asked:
        return " ".join(filter(None, map(text_of, messages)))
    if len(asked) > 1 and len(asked[-1].split()) < FEWEST_WORDS:
        return f"{asked[-2]}\n{asked[-1]}"
    return asked[-1]


def text_of(message: Mapping[str, Any]) -> str:
    """A message's text, whether its content is a string or a list of parts."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = [part.get("text") for part in parts if isinstance(part, Mapping)]
    return "\n".join(text for text in texts if isinstance(text, str))
