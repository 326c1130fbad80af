"""Write an answer's events as Anthropic's content blocks; each is closed before the next begins.

Upstreams may interleave the pieces of several tool calls; those of the later ones wait.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from collegium.experts.clients.events import (
    AnswerEvent,
    Json,
    OfChoice,
    Other,
    Reasoning,
    Text,
    ToolCall,
)

EMPTY: dict[str, Json] = {
    "text": {"type": "text", "text": ""},
    "thinking": {"type": "thinking", "thinking": "", "signature": ""},
}
DELTAS = {"text": ("text_delta", "text"), "thinking": ("thinking_delta", "thinking")}


@dataclass
class Block:
    """A content block that grows."""

    kind: str
    """`text`, `thinking`, `redacted_thinking` or `tool_use`."""
    call: int = -1
    """The tool call that it belongs to."""
    id: str = ""
    name: str = ""
    pieces: list[str] = field(default_factory=list)
    """Pieces of text, of reasoning or of a call's arguments."""
    unsent: list[Json] = field(default_factory=list)
    """Deltas that wait until the block is begun."""
    signed: bool = False

    @property
    def is_complete(self) -> bool:
        """Whether nothing can follow: a tool call's arguments are complete JSON."""
        return self.kind != "tool_use" or _is_json("".join(self.pieces))

    def start(self) -> Json:
        """The block as it begins."""
        if self.kind == "tool_use":
            known = self.id or f"toolu_{secrets.token_hex(12)}"
            return {"type": "tool_use", "id": known, "name": self.name, "input": {}}
        if self.kind == "redacted_thinking":
            return {"type": self.kind, "data": "".join(self.pieces)}
        return dict(EMPTY[self.kind])


class BlockWriter:
    """Turns events into `content_block_…` events."""

    def __init__(self) -> None:
        self.called = False
        """Whether a tool was called."""
        self._count = 0
        self._open: Block | None = None
        self._waiting: list[Block] = []

    def take(self, event: AnswerEvent) -> list[Json]:
        """The Anthropic events that tell of an event of the first choice."""
        if not isinstance(event, OfChoice) or event.choice != 0:
            return []
        if isinstance(event, Text) and event.text:
            return self._add("text", event.text)
        if isinstance(event, Reasoning) and event.text:
            return self._add("thinking", event.text)
        if isinstance(event, ToolCall):
            return self._add_call(event)
        if isinstance(event, Other):
            return [told for piece in self._others(event.fields) for told in piece]
        return []

    def end(self) -> list[Json]:
        """Close what is open, and write what waited."""
        told = self._close()
        while self._waiting:
            told += [*self._begin(self._waiting.pop(0)), *self._close()]
        return told

    def _add(self, kind: str, text: str) -> list[Json]:
        block = self._current(kind)
        block.pieces.append(text)
        name, field_name = DELTAS[kind]
        block.unsent.append({"type": name, field_name: text})
        return self._advance()

    def _add_call(self, event: ToolCall) -> list[Json]:
        self.called = True
        block = next((b for b in self._blocks() if b.call == event.index), None)
        if block is None:
            self._waiting.append(block := Block("tool_use", event.index))
        function = event.piece.get("function") or {}
        block.id = block.id or str(event.piece.get("id") or "")
        block.name = block.name or str(function.get("name") or "")
        if piece := _as_text(function.get("arguments")):
            block.pieces.append(piece)
            block.unsent.append({"type": "input_json_delta", "partial_json": piece})
        return self._advance()

    def _others(self, fields: Json) -> Iterator[list[Json]]:
        """Handle signatures of reasoning that was already sent, and refusals."""
        thoughts = fields.get("thinking_blocks")
        for given in thoughts if isinstance(thoughts, list) else ():
            if isinstance(given, dict):
                yield from self._thinking(given)
        if isinstance(words := fields.get("refusal"), str):
            yield self._add("text", words)

    def _thinking(self, given: Json) -> Iterator[list[Json]]:
        if isinstance(data := given.get("data"), str):
            self._waiting.append(Block("redacted_thinking", pieces=[data]))
            yield self._advance()
        if isinstance(signature := given.get("signature"), str) and signature:
            block = self._current("thinking")
            block.signed = True
            block.unsent.append({"type": "signature_delta", "signature": signature})
            yield self._advance()

    def _current(self, kind: str) -> Block:
        """Return the last block if it has this kind and is open, otherwise a new one."""
        last = self._waiting[-1] if self._waiting else self._open
        if last is None or last.kind != kind or last.signed:
            self._waiting.append(last := Block(kind))
        return last

    def _blocks(self) -> list[Block]:
        return [*([] if self._open is None else [self._open]), *self._waiting]

    def _advance(self) -> list[Json]:
        """Write what can be written now."""
        told = self._flush()
        while self._waiting and (self._open is None or self._open.is_complete):
            if self._waiting[0].kind == "tool_use" and not self._waiting[0].name:
                break  # its name is still to come
            told += [*self._close(), *self._begin(self._waiting.pop(0))]
        return told

    def _begin(self, block: Block) -> list[Json]:
        self._open = block
        start = {
            "type": "content_block_start",
            "index": self._count,
            "content_block": block.start(),
        }
        return [start, *self._flush()]

    def _flush(self) -> list[Json]:
        if self._open is None:
            return []
        unsent, self._open.unsent = self._open.unsent, []
        return [{"type": "content_block_delta", "index": self._count, "delta": d} for d in unsent]

    def _close(self) -> list[Json]:
        if self._open is None:
            return []
        told = [*self._flush(), {"type": "content_block_stop", "index": self._count}]
        self._open = None
        self._count += 1
        return told


def whole_blocks(events: list[Json]) -> list[Json]:
    """The content of a whole message, by the events that a stream of it would have."""
    blocks: list[Json] = []
    arguments: list[str] = []
    for event in events:
        if event["type"] == "content_block_start":
            blocks.append(dict(event["content_block"]))
            arguments = []
        elif event["type"] == "content_block_delta":
            _add_delta(blocks[-1], event["delta"], arguments)
        elif blocks[-1]["type"] == "tool_use":
            blocks[-1]["input"] = _input("".join(arguments))
    return blocks


def _add_delta(block: Json, delta: Json, arguments: list[str]) -> None:
    kind = delta["type"]
    if kind == "input_json_delta":
        arguments.append(delta["partial_json"])
    elif kind == "signature_delta":
        block["signature"] = delta["signature"]
    else:
        block[DELTAS[block["type"]][1]] += delta[DELTAS[block["type"]][1]]


def _input(arguments: str) -> Json:
    """A call's arguments. Those that are no JSON object are kept for the tool to complain of."""
    try:
        given = json.loads(arguments or "{}")
    except (ValueError, RecursionError):
        given = None
    return given if isinstance(given, dict) else {"unparsed_arguments": arguments}


def _as_text(arguments: Any) -> str:
    if isinstance(arguments, str):
        return arguments
    return "" if arguments is None else json.dumps(arguments)


def _is_json(text: str) -> bool:
    if not text.rstrip().endswith("}"):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
