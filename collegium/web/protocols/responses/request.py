"""The fields of `/v1/responses` in OpenAI's format, with `routing` in addition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from collegium.web.protocols.chat_request import Count, Routing, default_for_null

Word = Annotated[str, Field(min_length=1, max_length=64)]
Id = Annotated[str, Field(min_length=1, max_length=128)]
Summary = Literal["auto", "concise", "detailed"]
LOGPROBS = "message.output_text.logprobs"
Include = Literal[
    "message.output_text.logprobs",
    "reasoning.encrypted_content",
    "message.input_image.image_url",
    "file_search_call.results",
    "web_search_call.action.sources",
    "web_search_call.results",
    "code_interpreter_call.outputs",
    "computer_call_output.output.image_url",
]


CHAT_NAMES: Mapping[str, str] = {
    "messages": "input",
    "n": "input",
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "response_format": "text.format",
    "verbosity": "text.verbosity",
    "reasoning_effort": "reasoning.effort",
    "logprobs": "include",
}
"""Names of chat fields in this API."""


class Reasoning(BaseModel):
    """The field `reasoning`."""

    model_config = ConfigDict(extra="allow", strict=True)

    effort: Word | None = None
    summary: Summary | None = None
    generate_summary: Summary | None = None
    """The former name of `summary`."""


class TextOptions(BaseModel):
    """The field `text`: the format of the answer."""

    model_config = ConfigDict(extra="allow", strict=True)

    format: dict[str, Any] | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


class ResponsesRequest(BaseModel):
    """A request of the Responses API. Fields that it does not have pass through to the expert."""

    model_config = ConfigDict(extra="allow", strict=True)

    model: Annotated[str, Field(min_length=1)] = "auto"
    input: Any = None
    """A text, or a list of items; read by `items`, whose errors name the item."""
    instructions: str | None = None
    stream: bool | None = None
    store: bool | None = None
    background: bool | None = None
    previous_response_id: Id | None = None
    conversation: Any = None
    prompt: Any = None
    tools: Annotated[list[dict[str, Any]], Field(fail_fast=True)] | None = None
    tool_choice: Any = None
    parallel_tool_calls: bool | None = None
    text: TextOptions | None = None
    reasoning: Reasoning | None = None
    max_output_tokens: Count | None = None
    max_tool_calls: Count | None = None
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    metadata: dict[str, Any] | None = None
    user: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: Word | None = None
    safety_identifier: str | None = None
    service_tier: Word | None = None
    include: Annotated[list[Include], Field(max_length=16)] | None = None
    truncation: Literal["auto", "disabled"] | None = None
    stream_options: dict[str, Any] | None = None
    client_metadata: Any = None
    """Sent by Codex to describe itself; ignored."""
    routing: Routing = Field(default_factory=Routing)

    _nulls = field_validator("model", "routing", mode="before")(classmethod(default_for_null))

    def wants_summary(self) -> bool:
        """Whether what a model thinks is shown as the summary, as most clients display it."""
        asked = self.reasoning
        return asked is not None and (asked.summary or asked.generate_summary) is not None

    def wants_logprobs(self) -> bool:
        """Whether the tokens' log-probabilities are wanted."""
        return bool(self.top_logprobs) or LOGPROBS in (self.include or ())
