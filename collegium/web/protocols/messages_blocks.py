"""Convert Anthropic's content blocks to the parts of chat messages."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from collegium.errors import BadRequest
from collegium.experts.clients.events import Json
from collegium.web.protocols.messages_request import Content, Turn
from collegium.web.protocols.responses.content import text_field

BILLING = "x-anthropic-billing-header"
"""Claude Code's first system block: no instruction, and its hash changes with every request."""
SERVER_BLOCKS = ("server_tool_use", "mcp_tool_use", "container_upload")
USER_BLOCKS = ("text", "image", "document", "search_result", "tool_result", "tool_reference")
ASSISTANT_BLOCKS = ("text", "thinking", "redacted_thinking", "tool_use")


class Conversation:
    """Chat messages that say what Anthropic's say.

    `rich` ones also have `cache_control` and `thinking_blocks`, which LiteLLM understands where it
    asks Claude.
    """

    def __init__(self, *, rich: bool = False) -> None:
        self._rich = rich
        self._messages: list[Json] = []

    def chat(self) -> list[Json]:
        """Return the messages; content that is only text becomes a string."""
        return [self._simple(message) for message in self._messages]

    def add_system(self, content: Content) -> None:
        """The system prompt."""
        parts = [p for p in self._parts(content, "system", ("text",)) if not _is_billing(p)]
        if parts:
            self._messages.append({"role": "system", "content": parts})

    def add(self, turn: Turn, where: str) -> None:
        """Add one message; its tool results come first, since they must follow their calls."""
        if turn.role == "assistant":
            self._add_assistant(turn.content, where)
        elif turn.role == "system":
            self._add_reminder(turn.content, where)
        else:
            self._add_user(turn.content, where)

    def _add_user(self, content: Content, where: str) -> None:
        said: list[Json] = []
        for block, at in _blocks(content, where, USER_BLOCKS):
            if block["type"] == "tool_result":
                said += self._add_result(block, at)
            else:
                said += self._part(block, at)
        self._say(said)

    def _add_reminder(self, content: Content, where: str) -> None:
        """A system message in the middle: many chat templates allow the first one only."""
        parts = [p for p in self._parts(content, where, ("text",)) if not _is_billing(p)]
        for part in parts:
            part["text"] = f"<system-reminder>\n{part['text']}\n</system-reminder>"
        self._say(parts)

    def _say(self, parts: list[Json]) -> None:
        """Add to the user's turn: consecutive messages are one, as Anthropic reads them."""
        if self._messages and self._messages[-1]["role"] == "user":
            self._messages[-1]["content"] += parts
        elif parts:
            self._messages.append({"role": "user", "content": parts})

    def _add_result(self, block: Json, where: str) -> list[Json]:
        """Add a tool's result; content other than text is moved to the user's message."""
        parts = self._parts(block.get("content") or "", f"{where}.content", USER_BLOCKS)
        texts = [part for part in parts if part["type"] == "text"]
        if block.get("is_error"):
            texts.insert(0, {"type": "text", "text": "Error:"})
        call = text_field(block, "tool_use_id", where)
        message = {"role": "tool", "tool_call_id": call, "content": texts}
        self._messages.append(self._marked(message, block))
        return [part for part in parts if part["type"] != "text"]

    def _add_assistant(self, content: Content, where: str) -> None:
        message: Json = {"role": "assistant", "content": []}
        calls, thoughts = [], []
        for block, at in _blocks(content, where, ASSISTANT_BLOCKS):
            if block["type"] == "tool_use":
                calls.append(self._marked(_call(block, at), block))
            elif block["type"] == "text":
                message["content"] += self._part(block, at)
            else:
                thoughts.append(block)
        if calls:
            message["tool_calls"] = calls
        if self._rich and (signed := [b for b in thoughts if b.get("signature") or "data" in b]):
            message["thinking_blocks"] = signed
        self._messages.append(message)

    def _parts(self, content: Content, where: str, kinds: Sequence[str]) -> list[Json]:
        return [p for block, at in _blocks(content, where, kinds) for p in self._part(block, at)]

    def _part(self, block: Json, where: str) -> list[Json]:
        kind = block["type"]
        if kind == "text":
            text = text_field(block, "text", where)
            return [self._marked({"type": "text", "text": text}, block)]
        if kind == "image":
            image = {"url": _image_url(block, f"{where}.source")}
            return [self._marked({"type": "image_url", "image_url": image}, block)]
        if kind == "document":
            return self._document(block, where)
        if kind == "search_result":
            heads = [text_field(block, "title", where), text_field(block, "source", where)]
            found = self._parts(block.get("content") or "", f"{where}.content", ("text",))
            text = "\n".join([*heads, *(part["text"] for part in found)])
            return [self._marked({"type": "text", "text": text}, block)]
        if kind == "tool_reference":
            return [{"type": "text", "text": text_field(block, "tool_name", where)}]
        raise BadRequest(f"{where}: a block of type '{kind}' can't be inside another", where)

    def _document(self, block: Json, where: str) -> list[Json]:
        source, at = _source(block, where), f"{where}.source"
        kind, title = source.get("type"), block.get("title")
        if kind == "base64":
            data = _data_url(source, at)
            file = {"filename": title or "document.pdf", "file_data": data}
            return [self._marked({"type": "file", "file": file}, block)]
        if kind == "text":
            parts = [{"type": "text", "text": text_field(source, "data", at)}]
        elif kind == "content":
            kinds = ("text", "image")
            parts = self._parts(source.get("content") or "", f"{at}.content", kinds)
        else:
            raise _unknown_source(source, at, "base64, text or content")
        named = [{"type": "text", "text": str(title)}] if title else []
        return [*named, *parts[:-1], *(self._marked(part, block) for part in parts[-1:])]

    def _marked(self, part: Json, block: Json) -> Json:
        """Return the part with its prompt caching marker."""
        mark = block.get("cache_control") if self._rich else None
        return part if mark is None else {**part, "cache_control": mark}

    def _simple(self, message: Json) -> Json:
        parts = message["content"]
        if any(part.keys() != {"type", "text"} for part in parts):
            return message
        text = ("" if message["role"] == "assistant" else "\n").join(p["text"] for p in parts)
        return {**message, "content": text or (None if message.get("tool_calls") else "")}


def _blocks(content: Content, where: str, kinds: Sequence[str]) -> Iterator[tuple[Json, str]]:
    """Yield each block with its path, after checking its type."""
    if isinstance(content, str):
        yield {"type": "text", "text": content}, where
        return
    if not isinstance(content, list):
        raise BadRequest(f"{where} must be a string or a list of content blocks", where)
    for number, block in enumerate(content):
        at = f"{where}[{number}]"
        kind = block.get("type") if isinstance(block, Mapping) else None
        if not isinstance(kind, str):
            raise BadRequest(f"{at} must be a content block with a `type`", at)
        if kind in SERVER_BLOCKS or (kind.endswith("_tool_result") and kind != "tool_result"):
            raise BadRequest(
                f"{at}: blocks of type '{kind}' belong to tools hosted by Anthropic, which no "
                "expert here can be asked for; leave them out",
                at,
            )
        if kind not in kinds:
            raise BadRequest(
                f"{at}: a block of type '{kind}' is not allowed here; use {', '.join(kinds)}", at
            )
        yield dict(block), at


def _call(block: Json, where: str) -> Json:
    """A tool call as the chat has it."""
    given = block.get("input", {})
    if not isinstance(given, Mapping):
        raise BadRequest(f"{where}.input must be an object", f"{where}.input")
    arguments = json.dumps(given, ensure_ascii=False)
    name = text_field(block, "name", where)
    return {
        "id": text_field(block, "id", where),
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }


def _image_url(block: Json, where: str) -> str:
    source = _source(block, where.rpartition(".")[0])
    if source.get("type") == "base64":
        return _data_url(source, where)
    if source.get("type") == "url":
        return text_field(source, "url", where)
    raise _unknown_source(source, where, "base64 or url")


def _source(block: Json, where: str) -> Mapping[str, Any]:
    source = block.get("source")
    if not isinstance(source, Mapping):
        raise BadRequest(f"{where}.source must be an object", f"{where}.source")
    return source


def _data_url(source: Mapping[str, Any], where: str) -> str:
    kind = text_field(source, "media_type", where)
    return f"data:{kind};base64,{text_field(source, 'data', where)}"


def _unknown_source(source: Mapping[str, Any], where: str, known: str) -> BadRequest:
    return BadRequest(
        f"{where}: a source of type '{source.get('type')}' can't be read here; send {known}", where
    )


def _is_billing(part: Json) -> bool:
    return str(part["text"]).startswith(BILLING)
