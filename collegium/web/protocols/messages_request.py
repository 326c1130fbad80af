"""A request of Anthropic's Messages API. Unknown fields are kept for experts that speak it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from collegium.web.protocols.chat_request import Count, Routing, default_for_null

Blocks = Annotated[list[dict[str, Any]], Field(fail_fast=True)]
Content = str | Blocks


class Turn(BaseModel):
    """One message of the conversation."""

    model_config = ConfigDict(extra="allow", strict=True)

    role: Literal["user", "assistant", "system"]
    content: Content


class Tool(BaseModel):
    """One tool that the caller defines."""

    model_config = ConfigDict(extra="allow", strict=True)

    name: Annotated[str, Field(min_length=1, max_length=256)]
    type: str | None = None
    description: str | None = None
    input_schema: dict[str, Any] | None = None


class ToolChoice(BaseModel):
    """Whether tools are to be called, and which."""

    model_config = ConfigDict(extra="allow", strict=True)

    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class Thinking(BaseModel):
    """Whether the model is to think before it answers."""

    model_config = ConfigDict(extra="allow", strict=True)

    type: str
    budget_tokens: Count | None = None


class Format(BaseModel):
    """The form that the answer's text has to have."""

    model_config = ConfigDict(extra="allow", strict=True)

    type: Literal["json_schema"]
    schema_: dict[str, Any] = Field(alias="schema")


class OutputConfig(BaseModel):
    """The effort, and the format of the answer."""

    model_config = ConfigDict(extra="allow", strict=True)

    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    format: Format | None = None


class Metadata(BaseModel):
    """Metadata that the caller attaches to the request."""

    model_config = ConfigDict(extra="allow", strict=True)

    user_id: Annotated[str, Field(max_length=1024)] | None = None


class CountRequest(BaseModel):
    """The parts of a prompt, for counting its tokens."""

    model_config = ConfigDict(extra="allow", strict=True)

    model: Annotated[str, Field(min_length=1)] = "auto"
    messages: Annotated[list[Turn], Field(min_length=1, fail_fast=True)]
    system: Content | None = None
    tools: Annotated[list[Tool], Field(fail_fast=True)] | None = None
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None

    _null_model = field_validator("model", mode="before")(classmethod(default_for_null))


class MessagesRequest(CountRequest):
    """A request to answer, with our `routing` in addition to Anthropic's fields."""

    max_tokens: Count
    stream: bool = False
    stop_sequences: Annotated[list[str], Field(fail_fast=True)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] | None = None
    top_k: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    metadata: Metadata | None = None
    service_tier: str | None = None
    routing: Routing = Field(default_factory=Routing)

    _nulls = field_validator("stream", "routing", mode="before")(classmethod(default_for_null))
