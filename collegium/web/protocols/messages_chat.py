"""Convert a request of the Messages API to the chat completion that experts are sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import PrivateAttr

from collegium.errors import BadRequest
from collegium.experts.clients.events import Json
from collegium.experts.clients.native import Native
from collegium.web.protocols.chat_request import ChatRequest
from collegium.web.protocols.messages_blocks import Conversation
from collegium.web.protocols.messages_request import CountRequest, MessagesRequest, Tool, Turn

PROTOCOL = "messages"
OURS = ("model", "routing", "stream")
SAME = ("temperature", "top_p", "top_k")
"""Fields that chat completions have by the same name."""
MOST_LOW, MOST_MEDIUM = 4096, 16_384
"""Tokens of a thinking budget up to which the effort is called low and medium."""
COMMON = ("text", "image", "tool_use", "tool_result", "thinking", "redacted_thinking")
CHAT_NAMES = {
    "max_completion_tokens": "max_tokens",
    "stop": "stop_sequences",
    "user": "metadata.user_id",
    "response_format": "output_config.format",
    "parallel_tool_calls": "tool_choice.disable_parallel_tool_use",
}
"""Names of chat fields in this API."""
EFFORTS = {"xhigh": "high", "max": "high"}
"""Effort levels that chat completions lack, mapped to the nearest that they have."""


class MessagesChat(ChatRequest):
    """The chat completion that stands for a request of the Messages API."""

    _native: Native | None = PrivateAttr(None)
    _effort: str = PrivateAttr("thinking")
    """The field that set the reasoning effort."""

    def upstream(self) -> dict[str, Any]:
        """The body without `metadata`, which is for us; experts receive `user`."""
        return {k: v for k, v in super().upstream().items() if k != "metadata"}

    def native(self) -> Native | None:
        """The request as it came, for experts that speak the Messages API."""
        return self._native

    def spelling(self) -> Mapping[str, str]:
        """Names of the fields in this API."""
        return CHAT_NAMES | {"reasoning_effort": self._effort}


def as_chat(request: MessagesRequest, betas: str | None = None) -> MessagesChat:
    """Convert the request to a chat; raise BadRequest if it needs what no expert here offers."""
    body = chat_body(request)
    if request.metadata is not None:
        body["metadata"] = request.metadata.model_dump(exclude_none=True)
        if request.metadata.user_id is not None:
            body["user"] = request.metadata.user_id
    ours = {"model": request.model, "stream": request.stream, "routing": request.routing}
    chat = MessagesChat.model_validate({**body, **ours})
    if request.output_config is not None and request.output_config.effort is not None:
        chat._effort = "output_config.effort"
    chat._native = Native(
        PROTOCOL,
        request.model_dump(exclude_unset=True, exclude={*OURS}, by_alias=True),
        {} if betas is None else {"anthropic-beta": betas},
        special=any(map(_is_special, request.messages)),
        rich=lambda: prompt_of(request, rich=True),
    )
    return chat


def to_count(request: CountRequest) -> tuple[Json, Native]:
    """A prompt that is to be counted: as a chat, and as it came."""
    body = request.model_dump(exclude_unset=True, exclude={*OURS}, by_alias=True)
    return prompt_of(request), Native(PROTOCOL, body)


def chat_body(request: MessagesRequest) -> Json:
    """The fields of the chat completion."""
    body = prompt_of(request)
    body["max_tokens"] = request.max_tokens
    if request.stop_sequences:
        body["stop"] = request.stop_sequences
    for name in SAME:
        if (value := getattr(request, name)) is not None:
            body[name] = value
    return body


def prompt_of(request: CountRequest, *, rich: bool = False) -> Json:
    """The messages, the tools and how the model is to answer; `rich` ones are for Claude by way of
    LiteLLM.
    """
    _refuse_servers(request)
    conversation = Conversation(rich=rich)
    if request.system is not None:
        conversation.add_system(request.system)
    for number, turn in enumerate(request.messages):
        conversation.add(turn, f"messages[{number}].content")
    body: Json = {"messages": conversation.chat()}
    if request.tools:
        body["tools"] = [_tool(tool, n, rich=rich) for n, tool in enumerate(request.tools)]
        body |= _choice(request)
    if (config := request.output_config) is not None and config.format is not None:
        schema = {"name": "answer", "schema": config.format.schema_}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return body | _thinking(request, rich=rich)


def _is_special(turn: Turn) -> bool:
    """Whether it has blocks that other servers of the Messages API don't know."""
    blocks = turn.content if isinstance(turn.content, list) else ()
    return any(block.get("type") not in COMMON for block in blocks)


def _tool(tool: Tool, number: int, *, rich: bool) -> Json:
    if tool.type not in (None, "custom"):
        raise BadRequest(
            f"tools[{number}]: the tool '{tool.type}' is defined by Anthropic, and no expert here "
            "can be asked for it; give a tool of your own with an `input_schema`",
            f"tools[{number}]",
        )
    if tool.input_schema is None:
        where = f"tools[{number}].input_schema"
        raise BadRequest(f"{where} is missing: the JSON schema of the tool's input", where)
    function: Json = {"name": tool.name, "parameters": {"type": "object", **tool.input_schema}}
    extra = tool.model_extra or {}
    if tool.description is not None:
        function["description"] = tool.description
    if isinstance(extra.get("strict"), bool):
        function["strict"] = extra["strict"]
    mark = {"cache_control": c} if rich and (c := extra.get("cache_control")) else {}
    return {"type": "function", "function": function, **mark}


def _choice(request: CountRequest) -> Json:
    choice = request.tool_choice
    if choice is None:
        return {}
    told: Json = {"tool_choice": {"any": "required"}.get(choice.type, choice.type)}
    if choice.type == "tool":
        names = [tool.name for tool in request.tools or ()]
        if choice.name not in names:
            raise BadRequest(
                f"tool_choice.name is '{choice.name}', which is not one of the tools: "
                f"{', '.join(names)}",
                "tool_choice.name",
            )
        told["tool_choice"] = {"type": "function", "function": {"name": choice.name}}
    if choice.disable_parallel_tool_use is not None and choice.type != "none":
        told["parallel_tool_calls"] = not choice.disable_parallel_tool_use
    return told


def _thinking(request: CountRequest, *, rich: bool) -> Json:
    """Return the reasoning effort. A thinking budget is converted to an effort."""
    thinking, config = request.thinking, request.output_config
    if rich and thinking is not None and thinking.type != "disabled":
        return {"thinking": thinking.model_dump(exclude_unset=True)}
    if config is not None and config.effort is not None:
        return {"reasoning_effort": EFFORTS.get(config.effort, config.effort)}
    if thinking is None or thinking.type != "enabled" or thinking.budget_tokens is None:
        return {}
    return {"reasoning_effort": _effort(thinking.budget_tokens)}


def _effort(budget: int) -> str:
    if budget <= MOST_LOW:
        return "low"
    return "medium" if budget <= MOST_MEDIUM else "high"


def _refuse_servers(request: CountRequest) -> None:
    servers: Sequence[Any] | None = (request.model_extra or {}).get("mcp_servers")
    if servers:
        raise BadRequest(
            "mcp_servers are asked by Anthropic, not by experts here; call them yourself and give "
            "their tools in `tools`",
            "mcp_servers",
        )
