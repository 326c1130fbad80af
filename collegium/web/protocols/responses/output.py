"""The output of a response, assembled from an answer's events and streamed as it grows."""

from __future__ import annotations

import json
from typing import Any

from collegium.experts.aggregation.events import Event
from collegium.experts.clients.events import Finish, Json, Other, Text, ToolCall
from collegium.experts.clients.events import Reasoning as Thought
from collegium.web.protocols.responses.open_items import (
    CustomCall,
    FunctionCall,
    Message,
    OpenItem,
    Reasoning,
    Sent,
    ShellCall,
)
from collegium.web.protocols.responses.tools import Offered, Offers

CALLS: dict[str, type[FunctionCall]] = {
    "function": FunctionCall,
    "custom": CustomCall,
    "local_shell": ShellCall,
}
CUT: dict[str, str] = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""Why an answer is incomplete, by the reason for which it ended."""


class Output:
    """Items in the order in which they begin. Calls stay open, for their pieces may alternate."""

    def __init__(
        self, response_id: str, tools: Offers, *, as_summary: bool = False, logprobs: bool = False
    ) -> None:
        self._id = response_id
        self._tools = tools
        self._as_summary = as_summary
        self._logprobs = logprobs
        self._items: list[OpenItem] = []
        self._words: Message | Reasoning | None = None
        """The message or reasoning that is being written."""
        self._calls: dict[int, FunctionCall] = {}
        self._unnamed: dict[int, ToolCall] = {}
        """Calls whose names have not arrived yet."""
        self._reason: str | None = None

    @property
    def cut(self) -> str | None:
        """Why the answer is incomplete; None if it is complete."""
        return CUT.get(self._reason or "")

    @property
    def items(self) -> list[Json]:
        """The items as they are now."""
        return [item.shown for item in self._items]

    def take(self, event: Event) -> list[Sent]:
        """Add an event; return the events to stream."""
        if isinstance(event, Finish):
            self._reason = event.reason or self._reason
        elif isinstance(event, Text):
            return self._text(event) if event.text else []
        elif isinstance(event, Thought):
            return self._thought(event.text) if event.text else []
        elif isinstance(event, ToolCall):
            return self._call(event)
        elif isinstance(event, Other):
            return self._other(event.fields)
        return []

    def close(self) -> list[Sent]:
        """End all items; an answer without any is an empty message."""
        sent: list[Sent] = []
        for index in list(self._unnamed):
            sent += self._begin(index, self._unnamed.pop(index), name="")
        if not self._items:
            sent, message = self._message()
            sent += message.text("", [])
        sent += self._close_words()
        for call in self._calls.values():
            sent += call.close("incomplete" if self.cut else "completed")
        return sent

    def _text(self, event: Text) -> list[Sent]:
        sent, message = self._message()
        return [*sent, *message.text(event.text, _logprobs(event) if self._logprobs else [])]

    def _other(self, fields: Json) -> list[Sent]:
        sent: list[Sent] = []
        if refusal := fields.get("refusal"):
            begun, message = self._message()
            sent += [*begun, *message.refusal(str(refusal))]
        for source in _sources(fields.get("annotations")):
            begun, message = self._message()
            sent += [*begun, *message.cite(source)]
        return sent

    def _thought(self, text: str) -> list[Sent]:
        sent: list[Sent] = []
        if not isinstance(self._words, Reasoning):
            sent = self._close_words(before_other=True)
            self._words = Reasoning(len(self._items), self._id, as_summary=self._as_summary)
            sent += self._add(self._words)
        return [*sent, *self._words.think(text)]

    def _message(self) -> tuple[list[Sent], Message]:
        """Return the open message; begin one if there is none."""
        if isinstance(self._words, Message):
            return [], self._words
        sent = self._close_words(before_other=True)
        self._words = message = Message(len(self._items), self._id)
        return [*sent, *self._add(message)], message

    def _call(self, event: ToolCall) -> list[Sent]:
        """A piece of a call, which begins when its name is known."""
        if event.index in self._calls:
            return self._calls[event.index].argue(_arguments(event))
        before = self._unnamed.pop(event.index, None)
        if before is not None:
            event = _joined(before, event)
        name = _function(event).get("name")
        if not name:
            self._unnamed[event.index] = event
            return []
        return self._begin(event.index, event, name=str(name))

    def _begin(self, index: int, event: ToolCall, *, name: str) -> list[Sent]:
        sent = self._close_words(before_other=True)
        place = len(self._items)
        call_id = event.piece.get("id") or f"call_{self._id.partition('_')[2]}_{place}"
        tool = self._tools.get(name, Offered("function", name))
        self._calls[index] = call = CALLS[tool.kind](place, self._id, tool, str(call_id))
        return [*sent, *self._add(call), *call.argue(_arguments(event))]

    def _add(self, item: OpenItem) -> list[Sent]:
        self._items.append(item)
        return item.open()

    def _close_words(self, *, before_other: bool = False) -> list[Sent]:
        """Close the open message or reasoning when another kind of item follows."""
        words, self._words = self._words, None
        cut = self.cut and not before_other
        return [] if words is None else words.close("incomplete" if cut else "completed")


def _function(event: ToolCall) -> Json:
    function = event.piece.get("function")
    return function if isinstance(function, dict) else {}


def _arguments(event: ToolCall) -> str:
    told = _function(event).get("arguments")
    if told is None or isinstance(told, str):
        return told or ""
    return json.dumps(told, ensure_ascii=False)  # some send an object


def _joined(before: ToolCall, event: ToolCall) -> ToolCall:
    """Two pieces of a call as one."""
    function = {**_function(before), **{k: v for k, v in _function(event).items() if v}}
    function["arguments"] = _arguments(before) + _arguments(event)
    piece = {**before.piece, **{k: v for k, v in event.piece.items() if v}, "function": function}
    return ToolCall(event.index, piece, choice=event.choice)


def _sources(told: Any) -> list[Json]:
    """The sources that an upstream names, of the one kind that chat completions have."""
    found = []
    for each in told if isinstance(told, list) else []:
        cited = each.get("url_citation") if isinstance(each, dict) else None
        if isinstance(cited, dict) and isinstance(cited.get("url"), str):
            places = {name: cited.get(name) or 0 for name in ("start_index", "end_index")}
            title = str(cited.get("title") or "")
            found.append({"type": "url_citation", "url": cited["url"], "title": title, **places})
    return found


def _logprobs(event: Text) -> list[Json]:
    """A piece's log-probabilities as this API has them."""
    told = (event.extra or {}).get("logprobs")
    content = told.get("content") if isinstance(told, dict) else None
    return [_logprob(each) for each in content or [] if isinstance(each, dict)]


def _logprob(told: Any) -> Json:
    token = str(told.get("token", ""))
    shown: Json = {"token": token, "logprob": told.get("logprob", 0.0)}
    shown["bytes"] = told.get("bytes") or list(token.encode(errors="replace"))
    if "top_logprobs" in told:
        shown["top_logprobs"] = [_logprob(each) for each in told["top_logprobs"] or []]
    return shown
