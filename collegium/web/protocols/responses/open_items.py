"""Items of an answer that grow; each reports its growth as events of the stream.

An event is a name, without the common `response.`, and its fields. An item's `shown` is what the
final response says of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Literal

from collegium.experts.clients.events import Json
from collegium.web.protocols.responses.tools import Offered, custom_input, shell_action

Sent = tuple[str, Json]
State = Literal["in_progress", "completed", "incomplete"]


class OpenItem:
    """One item at its index in the output."""

    prefix: str

    def __init__(self, place: int, response_id: str) -> None:
        self.shown: Json = {"id": f"{self.prefix}_{response_id.partition('_')[2]}_{place}"}
        self._at: Json = {"item_id": self.shown["id"], "output_index": place}

    def open(self) -> list[Sent]:
        """Say that it has begun."""
        self.shown["status"] = "in_progress"
        return [("output_item.added", self._whole())]

    def close(self, state: State) -> list[Sent]:
        """Say all that is left to say of it."""
        left = list(self._rest())
        self.shown["status"] = state
        return [*left, ("output_item.done", self._whole())]

    def _rest(self) -> Iterator[Sent]:
        yield from ()

    def _whole(self) -> Json:
        return {"output_index": self._at["output_index"], "item": dict(self.shown)}


class Message(OpenItem):
    """A message: parts of text or of a refusal."""

    prefix = "msg"

    def __init__(self, place: int, response_id: str) -> None:
        super().__init__(place, response_id)
        self.shown |= {"type": "message", "role": "assistant", "content": []}
        self._pieces: list[str] = []
        self._logprobs: list[Json] = []

    def text(self, piece: str, logprobs: list[Json]) -> list[Sent]:
        """Add a piece of text, with its tokens' log-probabilities if requested."""
        sent = self._text_part()
        self._pieces.append(piece)
        self._logprobs += logprobs
        return [*sent, ("output_text.delta", {**self._here, "delta": piece, "logprobs": logprobs})]

    def cite(self, source: Json) -> list[Sent]:
        """Name a source of the text."""
        sent = self._text_part()
        sources = self.shown["content"][-1]["annotations"]
        sources.append(source)
        told = {"annotation": source, "annotation_index": len(sources) - 1}
        return [*sent, ("output_text.annotation.added", {**self._here, **told})]

    def refusal(self, piece: str) -> list[Sent]:
        """Say a piece of a refusal."""
        sent = self._part("refusal", {"refusal": ""})
        self._pieces.append(piece)
        return [*sent, ("refusal.delta", {**self._here, "delta": piece})]

    @property
    def _here(self) -> Json:
        return {**self._at, "content_index": len(self.shown["content"]) - 1}

    def _text_part(self) -> list[Sent]:
        return self._part("output_text", {"text": "", "annotations": [], "logprobs": []})

    def _part(self, kind: str, empty: Json) -> list[Sent]:
        """Go on with the part that there is, or begin another."""
        content = self.shown["content"]
        if content and content[-1]["type"] == kind:
            return []
        ended = list(self._rest())
        content.append({"type": kind, **deepcopy(empty)})
        return [*ended, ("content_part.added", {**self._here, "part": {"type": kind, **empty}})]

    def _rest(self) -> Iterator[Sent]:
        if not self.shown["content"]:
            return
        part, said = self.shown["content"][-1], "".join(self._pieces)
        if part["type"] == "refusal":
            part["refusal"] = said
            yield "refusal.done", {**self._here, "refusal": said}
        else:
            part |= {"text": said, "logprobs": self._logprobs}
            yield "output_text.done", {**self._here, "text": said, "logprobs": self._logprobs}
        yield "content_part.done", {**self._here, "part": dict(part)}
        self._pieces, self._logprobs = [], []

    def _whole(self) -> Json:
        whole = super()._whole()
        whole["item"]["content"] = list(self.shown["content"])
        return whole


class Reasoning(OpenItem):
    """Reasoning, in full or, if requested, as a summary."""

    prefix = "rs"

    def __init__(self, place: int, response_id: str, *, as_summary: bool) -> None:
        super().__init__(place, response_id)
        self.shown |= {"type": "reasoning", "summary": []}
        self._kind = "summary_text" if as_summary else "reasoning_text"
        self._events = "reasoning_summary_part" if as_summary else "content_part"
        self._texts = "reasoning_summary_text" if as_summary else "reasoning_text"
        self._at["summary_index" if as_summary else "content_index"] = 0
        self._pieces: list[str] = []

    def open(self) -> list[Sent]:
        """Begin, with the one part that there is."""
        empty = {**self._at, "part": {"type": self._kind, "text": ""}}
        return [*super().open(), (f"{self._events}.added", empty)]

    def think(self, piece: str) -> list[Sent]:
        """A piece of it."""
        self._pieces.append(piece)
        return [(f"{self._texts}.delta", {**self._at, "delta": piece})]

    def _rest(self) -> Iterator[Sent]:
        text = "".join(self._pieces)
        part = {"type": self._kind, "text": text}
        yield f"{self._texts}.done", {**self._at, "text": text}
        yield f"{self._events}.done", {**self._at, "part": part}
        self.shown["summary" if self._kind == "summary_text" else "content"] = [part]


class FunctionCall(OpenItem):
    """A function call whose arguments arrive in pieces."""

    prefix = "fc"

    def __init__(self, place: int, response_id: str, tool: Offered, call_id: str) -> None:
        super().__init__(place, response_id)
        space = {} if tool.namespace is None else {"namespace": tool.namespace}
        self.shown |= self._called(call_id, {"name": tool.name, **space})
        self._pieces: list[str] = []

    def _called(self, call_id: str, named: Json) -> Json:
        return {"type": "function_call", "call_id": call_id, **named, "arguments": ""}

    def argue(self, piece: str) -> list[Sent]:
        """A piece of the arguments."""
        self._pieces.append(piece)
        return [("function_call_arguments.delta", {**self._at, "delta": piece})] if piece else []

    def _rest(self) -> Iterator[Sent]:
        self.shown["arguments"] = "".join(self._pieces)
        told = {"name": self.shown["name"], "arguments": self.shown["arguments"]}
        yield "function_call_arguments.done", {**self._at, **told}


class CustomCall(FunctionCall):
    """A call of a custom tool: its text is known when the arguments are complete."""

    prefix = "ctc"

    def _called(self, call_id: str, named: Json) -> Json:
        return {"type": "custom_tool_call", "call_id": call_id, **named, "input": ""}

    def argue(self, piece: str) -> list[Sent]:
        """Keep a piece of the arguments."""
        self._pieces.append(piece)
        return []

    def _rest(self) -> Iterator[Sent]:
        self.shown["input"] = text = custom_input("".join(self._pieces))
        yield "custom_tool_call_input.delta", {**self._at, "delta": text}
        yield "custom_tool_call_input.done", {**self._at, "input": text}


class ShellCall(CustomCall):
    """A call of the local shell."""

    prefix = "lsh"

    def _called(self, call_id: str, named: Json) -> Json:
        return {"type": "local_shell_call", "call_id": call_id, "action": shell_action("")}

    def _rest(self) -> Iterator[Sent]:
        self.shown["action"] = shell_action("".join(self._pieces))
        yield from ()
