"""Parse a request of the Responses API, and convert it to a chat completion."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import PrivateAttr, ValidationError

from collegium.errors import BadRequest
from collegium.experts.clients.events import Json
from collegium.experts.clients.native import Native
from collegium.web.protocols.chat_request import ChatRequest
from collegium.web.protocols.responses.answer import ResponseEncoder, WholeResponse
from collegium.web.protocols.responses.asked import Asked
from collegium.web.protocols.responses.items import messages_of
from collegium.web.protocols.responses.native import native_of
from collegium.web.protocols.responses.request import CHAT_NAMES, ResponsesRequest
from collegium.web.protocols.responses.tools import (
    HOSTED_CALLS,
    chat_choice,
    chat_tools,
    without_hosted,
)
from collegium.web.serving.decide import Decided
from collegium.web.wording import problems_in_words

PASSED = (
    "temperature",
    "top_p",
    "top_logprobs",
    "metadata",
    "user",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
)
"""Fields that a chat completion has under the same name."""
CALLED = {
    "messages": "input",
    "response_format": "text.format",
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "reasoning_effort": "reasoning.effort",
    "verbosity": "text.verbosity",
    "functions": "tools",
    "function_call": "tool_choice",
    "logprobs": "include",
}
"""Fields of chat completions that have another name here."""


class ResponsesChat(ChatRequest):
    """The chat completion that stands for a request of the Responses API."""

    _native: Native | None = PrivateAttr(default=None)

    def native(self) -> Native | None:
        """The request as it came, for experts that speak the Responses API."""
        return self._native

    def spelling(self) -> Mapping[str, str]:
        """Names of the fields in this API."""
        return CHAT_NAMES


@dataclass(frozen=True)
class Responses:
    """A request of the Responses API, as `Parsed`."""

    chat: ChatRequest
    asked: Asked

    def encoder(self, decided: Decided) -> ResponseEncoder:
        """Return the encoder of a streamed answer."""
        return ResponseEncoder(decided, self.asked)

    def whole(self, decided: Decided) -> WholeResponse:
        """Return the encoder of a whole answer."""
        return WholeResponse(decided, self.asked)


@dataclass(frozen=True)
class Before:
    """The stored part of the conversation that a request continues."""

    items: Sequence[Json] = ()
    messages: Sequence[Json] = ()
    """The items in a chat."""
    responses: tuple[str, ...] = ()
    """The ids of its responses, oldest first."""


@dataclass(frozen=True)
class Reading:
    """Reads requests with what is stored for their caller."""

    before: Before = field(default_factory=Before)
    items: Mapping[str, Json] = field(default_factory=dict)
    """The items that `item_reference` names, by their ids."""
    stores: bool = False
    """Whether the response will be stored, unless the caller objects."""

    def read(self, request: ResponsesRequest) -> Responses:
        """The request as a chat; BadRequest says what is wrong with it."""
        refuse_what_is_not_offered(request)
        items = [self._resolved(item) for item in input_items(request)]
        asked = Asked(
            request=request,
            id=f"resp_{secrets.token_hex(16)}",
            created=int(time.time()),
            items=items,
            before=self.before.responses,
            stored=self.stores and request.store is not False,
        )
        fields = {**chat_fields(request), "messages": self._messages(request, items)}
        chat, conversation = _chat(fields), [*self.before.items, *items]
        chat._native = native_of(request, conversation)
        chat._left_out = (
            *without_hosted(request.tools or (), request.tool_choice)[1],
            *dict.fromkeys(i["type"] for i in conversation if i.get("type") in HOSTED_CALLS),
        )
        return Responses(chat, asked)

    def _resolved(self, item: Any) -> Any:
        if isinstance(item, Mapping) and item.get("type") == "item_reference":
            name = str(item.get("id"))
            return self.items.get(name, {"type": "reasoning", "id": name, "summary": []})
        return item

    def _messages(self, request: ResponsesRequest, items: Sequence[Json]) -> list[Json]:
        system = [{"role": "system", "content": request.instructions}]
        said = [*self.before.messages, *messages_of(items)]
        if not said:
            raise BadRequest(
                "input contains nothing to answer: no message and no tool result", "input"
            )
        return [*(system if request.instructions else []), *said]


def read_line(body: Mapping[str, Any]) -> Responses:
    """Parse a line of a bulk job, which can't refer to stored responses."""
    request = ResponsesRequest.model_validate(body)
    if request.previous_response_id is not None or references(request):
        raise BadRequest(
            "The lines of a batch are independent: send the items themselves instead of "
            "`previous_response_id` and of item_reference",
            "previous_response_id",
        )
    return Reading().read(request)


def input_items(request: ResponsesRequest) -> list[Any]:
    """The items of the input; a text is one message."""
    given = request.input
    if isinstance(given, str):
        return [{"type": "message", "role": "user", "content": given}]
    if given is None and request.previous_response_id is not None:
        return []
    if not isinstance(given, list) or not given:
        raise BadRequest("input must be a string or a list of items that is not empty", "input")
    return given


def references(request: ResponsesRequest) -> list[str]:
    """Return the ids of items that the input references without including them."""
    items = request.input if isinstance(request.input, list) else []
    named = (i for i in items if isinstance(i, Mapping) and i.get("type") == "item_reference")
    return [str(item.get("id")) for item in named]


def refuse_what_is_not_offered(request: ResponsesRequest) -> None:
    """BadRequest names the field, and what to do instead."""
    if request.background:
        raise BadRequest(
            "background is not supported: stream the response, or send a bulk job to /v1/batches",
            "background",
        )
    for name in ("conversation", "prompt"):
        if getattr(request, name) is not None:
            instead = "go on with previous_response_id, or send the items in `input`"
            raise BadRequest(f"{name}: none are kept here; {instead}", name)
    for name in request.model_extra or {}:
        if name in CALLED:
            raise BadRequest(f"{name} is called `{CALLED[name]}` in this API", name)
    if (request.model_extra or {}).get("n") not in (None, 1):
        raise BadRequest(
            "n is not supported: a response has one answer; send several requests", "n"
        )


def chat_fields(request: ResponsesRequest) -> Json:
    """Return all fields of a chat completion except the messages."""
    given = {name: getattr(request, name) for name in PASSED}
    fields: Json = {
        **(request.model_extra or {}),
        "model": request.model,
        "stream": bool(request.stream),
        "routing": request.routing,
        **given,
        "max_completion_tokens": request.max_output_tokens,
        "reasoning_effort": None if request.reasoning is None else request.reasoning.effort,
        "logprobs": True if request.wants_logprobs() else None,
        **_tools(request),
        **_text(request),
    }
    return {name: value for name, value in fields.items() if value is not None}


def _tools(request: ResponsesRequest) -> Json:
    choice = request.tool_choice
    tools = chat_tools(without_hosted(request.tools or (), choice)[0])
    if choice is not None:
        choice, tools = chat_choice(choice, tools)
    if not tools:  # upstreams refuse what is said about none
        return {}
    parallel = request.parallel_tool_calls
    return {"tools": tools, "tool_choice": choice, "parallel_tool_calls": parallel}


def _text(request: ResponsesRequest) -> Json:
    options = request.text
    if options is None:
        return {}
    verbosity = None if options.verbosity == "medium" else options.verbosity  # the default
    form = options.format or {"type": "text"}
    if form.get("type") == "text":
        return {"verbosity": verbosity}
    if form.get("type") not in ("json_schema", "json_object"):
        raise BadRequest(
            "text.format.type must be 'text', 'json_schema' or 'json_object'", "text.format.type"
        )
    schema = {name: value for name, value in form.items() if name != "type" and value is not None}
    named = {"json_schema": schema} if form["type"] == "json_schema" else {}
    return {"verbosity": verbosity, "response_format": {"type": form["type"], **named}}


def _chat(fields: Json) -> ResponsesChat:
    """Report invalid fields that are passed through under their own names."""
    try:
        return ResponsesChat.model_validate(fields)
    except ValidationError as exc:
        where, words = next(iter(problems_in_words(exc.errors(), ChatRequest).items()))
        raise BadRequest(f"{where} {words}", where) from exc
