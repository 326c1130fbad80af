"""Normalise tool calls: with an index, and with id and name exactly once."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from msgspec import structs

from collegium.experts.clients.events import AnswerEvent, Json, ToolCall


@dataclass
class _Known:
    """One call of a choice."""

    id: str
    name: str = ""


class ToolCalls:
    """Repairs the pieces of a streamed answer's tool calls.

    Some upstreams omit the index, give all calls the same one, repeat id and name with every piece,
    or send no ids. Official clients concatenate what they get, and crash without an index.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], _Known] = {}
        self._latest: dict[int, int] = {}

    def mended(self, event: AnswerEvent) -> AnswerEvent:
        """The event; a tool call's piece with its index, its id and its name once."""
        if not isinstance(event, ToolCall):
            return event
        piece = event.piece
        given = piece.get("id")
        called = given if isinstance(given, str) else ""
        index = self._index(event, called)
        self._latest[event.choice] = index
        known = self._known.get((event.choice, index))
        first = known is None
        if known is None:
            known = _Known(called or f"call_{secrets.token_hex(12)}")
            self._known[event.choice, index] = known
        told = {k: v for k, v in piece.items() if k not in ("id", "function", "index", "type")}
        if first:
            told |= {"id": known.id, "type": piece.get("type") or "function"}
        told["function"] = _function(piece.get("function"), known)
        return structs.replace(event, index=index, piece={"index": index, **told})

    def _index(self, event: ToolCall, called: str) -> int:
        """The upstream's own index, unless it is missing or another call's."""
        mine = {
            at: known.id for (choice, at), known in self._known.items() if choice == event.choice
        }
        same = next((at for at, id in mine.items() if called and id == called), None)
        if same is not None:
            return same
        begins = bool(_named(event.piece))
        if "index" not in event.piece:
            latest = self._latest.get(event.choice)
            begins = begins or bool(called) or latest is None
            return max(mine, default=-1) + 1 if begins or latest is None else latest
        another = called and begins and event.index in mine
        return max(mine) + 1 if another else event.index


def _named(piece: Mapping[str, Any]) -> Any:
    function = piece.get("function")
    return function.get("name") if isinstance(function, Mapping) else None


def _function(told: Any, known: _Known) -> Json:
    function = dict(told) if isinstance(told, Mapping) else {}
    name = function.pop("name", None)
    if isinstance(name, str) and name and name != known.name:
        function = {"name": name, **function}
        known.name = known.name or name
    if "arguments" in function:
        function["arguments"] = arguments_text(function["arguments"])
    return function


def arguments_text(value: Any) -> str:
    """Arguments as JSON's text: some upstreams send the object itself."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value)


def whole_calls(calls: list[Json]) -> list[Json]:
    """A whole message's tool calls, each with an id and its arguments as text."""
    tools = ToolCalls()
    return [_merged(call, tools.mended(ToolCall(at, call))) for at, call in enumerate(calls)]


def _merged(call: Json, event: AnswerEvent) -> Json:
    """Merge a call's fields in the upstream's order, and without an index if it gave none."""
    assert isinstance(event, ToolCall)
    told = {**call, **event.piece}
    return told if "index" in call else {k: v for k, v in told.items() if k != "index"}
