"""Requests to experts that speak the Responses API themselves, and their answers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from collegium.experts.clients.events import Json
from collegium.experts.clients.native import Native
from collegium.web.protocols.responses.open_items import Sent
from collegium.web.protocols.responses.request import LOGPROBS, ResponsesRequest
from collegium.web.protocols.responses.tools import HOSTED_CALLS, without_hosted

PROTOCOL = "responses"
OURS = {
    "model", "stream", "routing", "store", "background", "conversation", "prompt", "n",
    "previous_response_id", "input", "include", "tools",
}  # fmt: skip
"""Fields that mean something here, and those that are put together anew."""
ABOUT_TOOLS = ("tool_choice", "parallel_tool_calls")
THOUGHTS = "reasoning.encrypted_content"
PLAIN = (LOGPROBS, THOUGHTS)
"""Values of `include` that are not about hosted tools."""
OURS_OF_INPUT = re.compile(r"msg_[0-9a-f]{32}_in\d+")
"""Ids that items of the input get when they are kept (`serving/stored_responses.py`)."""
PREFIXES = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "custom_tool_call": "ctc",
    "local_shell_call": "lsh",
    "web_search_call": "ws",
    "file_search_call": "fs",
    "code_interpreter_call": "ci",
    "image_generation_call": "ig",
    "mcp_call": "mcp",
    "mcp_list_tools": "mcpl",
    "mcp_approval_request": "mcpr",
}
"""Prefixes of item ids, by type."""


def native_of(request: ResponsesRequest, items: Sequence[Json]) -> Native:
    """The request with all items of its conversation; nothing is stored at the expert."""
    sent = request.model_dump(exclude_unset=True, exclude=OURS)
    fields = {name: value for name, value in sent.items() if value is not None} | {"store": False}
    tools, hosted = without_hosted(request.tools or (), request.tool_choice)
    plain = [item for item in items if item.get("type") not in HOSTED_CALLS]
    include: list[str] = list(request.include or ())
    if request.wants_logprobs() and LOGPROBS not in include:
        include.append(LOGPROBS)
    several = isinstance(request.input, list) or len(items) != 1
    given = [_without_our_id(item) for item in items] if several else request.input
    kept = [_without_our_id(item) for item in plain] if several else request.input
    body = _with(fields, kept, tools, [name for name in include if name in PLAIN])
    uses_hosted = bool(hosted) or len(plain) < len(items) or len(include) > len(set(PLAIN))
    full = _with(fields, given, request.tools or (), include) if uses_hosted else None
    return Native(PROTOCOL, body, special=_is_special(tools, request.tool_choice, plain), full=full)


def _with(fields: Json, given: Any, tools: Sequence[Any], include: list[str]) -> Json:
    about = {"tools": list(tools)} if tools else {}
    kept = fields if tools else {k: v for k, v in fields.items() if k not in ABOUT_TOOLS}
    return {**kept, "input": given, **about, **({"include": include} if include else {})}


def _without_our_id(item: Json) -> Json:
    """An item without the id by which it is only known here; upstreams check how ids begin."""
    known = item.get("id")
    if isinstance(known, str) and OURS_OF_INPUT.fullmatch(known):
        return {name: value for name, value in item.items() if name != "id"}
    return item


def _is_special(tools: Sequence[Mapping[str, Any]], choice: Any, items: Sequence[Json]) -> bool:
    """Whether it has what vLLM 0.32 and other servers of this API refuse or read in part."""
    return (
        any(tool.get("type") != "function" for tool in tools)
        or (isinstance(choice, Mapping) and choice.get("type") != "function")
        or not all(map(_is_common, items))
    )


def _is_common(item: Json) -> bool:
    kind = item.get("type", "message")
    if kind == "function_call":
        return item.get("namespace") is None
    if kind == "function_call_output":
        return isinstance(item.get("output"), str)
    if kind != "message":
        return bool(kind == "reasoning")
    content = item.get("content")
    if item.get("role") == "assistant" and isinstance(content, list):
        return len(content) == 1 and bool(content[0].get("text"))
    return isinstance(content, str) or all(
        part.get("type") in ("input_text", "text") or "image_url" in part for part in content or ()
    )


class NativeOutput:
    """An upstream's answer with our ids, passed on as it arrives."""

    def __init__(self, response_id: str) -> None:
        self.response: Json = {}
        """The whole of it, once it has ended."""
        self._items: dict[int, Json] = {}
        """Items that have begun, by their index."""
        self._name = response_id.partition("_")[2]
        self._ids: dict[int, str] = {}

    @property
    def items(self) -> list[Json]:
        """Return the items in their latest state."""
        return [self._items[place] for place in sorted(self._items)]

    def take(self, fields: Json) -> list[Sent]:
        """Process one upstream event; return the events to stream."""
        kind, response = str(fields["type"]), fields.get("response")
        if response is not None:
            if "output" in response and kind != "response.created":
                items = enumerate(response["output"])
                self.response = {**response, "output": [self._named(p, item) for p, item in items]}
            return []
        prefix, _, name = kind.partition(".")
        if prefix != "response":  # a sign of life, or something that nobody knows
            return []
        return [(name, self._renamed(fields))]

    def _renamed(self, fields: Json) -> Json:
        told = {k: v for k, v in fields.items() if k not in ("type", "sequence_number")}
        place = told.get("output_index")
        if place is not None and isinstance(told.get("item"), dict):
            told["item"] = self._items[place] = self._named(place, told["item"])
        if "item_id" in told and place in self._ids:
            told["item_id"] = self._ids[place]
        return told

    def _named(self, place: int, item: Json) -> Json:
        """An item under the id of its place: so it has one id in all events, and is found again."""
        prefix = PREFIXES.get(str(item.get("type")), "item")
        known = self._ids.setdefault(place, f"{prefix}_{self._name}_{place}")
        return {**item, "id": known}
