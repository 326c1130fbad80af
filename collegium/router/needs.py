"""The capabilities that a request needs, according to its body."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from collegium.experts.presets import thinks
from collegium.router.conversation import text_of

PARTS = {
    "image_url": "images",
    "image": "images",
    "input_image": "images",
    "input_audio": "audio",
    "audio_url": "audio",
    "video_url": "video",
    "file": "files",
    "input_file": "files",
}
"""Types of the parts of a message that not everybody takes, and the ability to take them."""
FORMATS = {"json_schema": "json_schema", "json_object": "json_object"}
IN_WORDS = {"images": "image", "audio": "audio", "video": "video", "files": "file"}


@dataclass(frozen=True)
class Needs:
    """Abilities that an expert has to have, and those that it is only better to have."""

    must: tuple[str, ...] = ()
    better: tuple[str, ...] = ()
    """If no expert has one of these, the request is sent without what needs it."""


NOTHING = Needs()


def needs_of(body: Mapping[str, Any]) -> Needs:
    """Return the needs of a body in the format of OpenAI's chat completions."""
    must = dict.fromkeys((*_of_messages(body), *_of_fields(body)))
    better = tuple(_better(body))
    return Needs(tuple(must), better) if must or better else NOTHING


def wordless(messages: Sequence[Mapping[str, Any]]) -> str | None:
    """Return a placeholder for a last user message without text but with an image, audio or file.

    None if it has text, or nothing at all: an older turn's text would be another question's.
    """
    last = next((m for m in reversed(messages) if m.get("role") == "user"), None)
    if last is None or text_of(last).strip():
        return None
    kinds = dict.fromkeys(IN_WORDS[kind] for kind in _kinds(last))
    return f"({', '.join(kinds)})" if kinds else None


def _of_messages(body: Mapping[str, Any]) -> Iterator[str]:
    for message in body["messages"]:
        yield from _kinds(message)
        if message.get("tool_calls") or message.get("role") in ("tool", "function"):
            yield "tools"


def _kinds(message: Mapping[str, Any]) -> Iterator[str]:
    content = message.get("content")
    for part in content if isinstance(content, list) else ():
        kind = part.get("type") if isinstance(part, Mapping) else None
        if isinstance(kind, str) and kind in PARTS:
            yield PARTS[kind]


def _of_fields(body: Mapping[str, Any]) -> Iterator[str]:
    if body.get("tools") or body.get("functions"):
        yield "tools"
    form = body.get("response_format")
    kind = form.get("type") if isinstance(form, Mapping) else None
    if isinstance(kind, str) and kind in FORMATS:
        yield FORMATS[kind]
    if body.get("logprobs") or body.get("top_logprobs"):
        yield "logprobs"
    if (body.get("n") or 1) > 1:
        yield "n"
    modalities = body.get("modalities")
    if body.get("audio") or (isinstance(modalities, list) and "audio" in modalities):
        yield "audio_output"


def _better(body: Mapping[str, Any]) -> Iterator[str]:
    if thinks(body):
        yield "reasoning"
    if body.get("parallel_tool_calls") and body.get("tools"):
        yield "parallel_tools"
