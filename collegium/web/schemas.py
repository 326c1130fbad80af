"""What callers may send. Unknown fields of a chat request pass through to the expert."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from collegium.experts.dispatch.terms import Priority
from collegium.registry.engine import EngineOptions
from collegium.router.decision import Limits
from collegium.web.panel_request import MOST_MEMBERS, Aggregate, PanelOptions

NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Role = Literal["system", "developer", "user", "assistant", "tool", "function"]
Verdict = Literal["good_fit", "underpowered", "overprovisioned", "failed"]


class Routing(BaseModel):
    """The field `routing`: the caller's limits and wishes."""

    model_config = ConfigDict(extra="forbid")

    max_cost_usd: NonNegative | None = None
    max_latency_ms: NonNegative | None = None
    max_energy_j: NonNegative | None = None
    min_quality: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    tradeoff: Annotated[float, Field(ge=0, le=10, allow_inf_nan=False)] | None = None
    wait_penalty: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    experts_allow: list[str] | None = None
    experts_deny: list[str] = []
    k: Annotated[int, Field(ge=1, le=MOST_MEMBERS)] | None = None
    aggregate: Aggregate = "single"
    panel: PanelOptions = Field(default_factory=PanelOptions)
    priority: Priority = "normal"
    failover: bool | None = None
    """Whether another expert may answer when the chosen one can't: by default where we chose."""
    hedge: bool = False

    def limits(self) -> Limits:
        """The limits as the router takes them."""
        return Limits(
            max_cost_usd=self.max_cost_usd,
            max_latency_ms=self.max_latency_ms,
            max_energy_j=self.max_energy_j,
            min_quality=self.min_quality,
            tradeoff=self.tradeoff,
            wait_penalty=self.wait_penalty,
            experts_allow=None if self.experts_allow is None else tuple(self.experts_allow),
            experts_deny=tuple(self.experts_deny),
        )


class Message(BaseModel):
    """One message of a conversation."""

    model_config = ConfigDict(extra="allow")

    role: Role
    content: str | list[dict[str, Any]] | None = None


class StreamOptions(BaseModel):
    """Options of a streamed answer."""

    model_config = ConfigDict(extra="allow")

    include_usage: bool = False


class ChatRequest(BaseModel):
    """A chat completion request in OpenAI's shape, with `routing` beside it."""

    model_config = ConfigDict(extra="allow", strict=True)

    model: Annotated[str, Field(min_length=1)] = "auto"
    messages: Annotated[list[Message], Field(min_length=1)]
    stream: bool = False
    stream_options: StreamOptions | None = None
    n: Annotated[int, Field(ge=1, le=16)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    response_format: dict[str, Any] | None = None
    tools: list[dict[str, Any]] | None = None
    routing: Routing = Field(default_factory=Routing)

    def upstream(self) -> dict[str, Any]:
        """The body that the expert gets: all but what is ours."""
        ours = {"model", "routing", "stream", "stream_options"}
        body = self.model_dump(exclude_unset=True, exclude=ours)
        if self.stream:
            body["stream_options"] = {"include_usage": True}  # for our own accounts
        return body

    def wants_usage(self) -> bool:
        """Whether a streamed answer ends with a usage chunk."""
        return self.stream_options is not None and self.stream_options.include_usage


class FeedbackRequest(BaseModel):
    """What a person thought of a decision."""

    model_config = ConfigDict(extra="forbid")

    decision_id: Annotated[str, Field(min_length=1, max_length=64)]
    verdict: Verdict
    comment: Annotated[str, Field(max_length=2000)] | None = None
    preferred: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """The expert of a panel whose answer was better than the one that was given."""


class NewExpert(BaseModel):
    """An expert to register."""

    model_config = ConfigDict(extra="forbid")

    name: str
    kind: Literal["openai", "litellm", "lora", "engine"]
    model: str = ""
    engine: str | EngineOptions | None = None
    """An engine's name, or for the kind `engine` what to start."""
    base_url: str | None = None
    adapter: str | None = None
    api_key_env: str | None = None
    description: Annotated[str, Field(max_length=500)] = ""
    input_price: NonNegative = 0.0
    output_price: NonNegative = 0.0
    context_window: Annotated[int, Field(ge=1)] = 2048
    generalist: bool = False


class ExpertChanges(BaseModel):
    """What may be changed of a registered expert."""

    model_config = ConfigDict(extra="forbid")

    description: Annotated[str, Field(max_length=500)] | None = None
    input_price: NonNegative | None = None
    output_price: NonNegative | None = None
    context_window: Annotated[int, Field(ge=1)] | None = None
    generalist: bool | None = None
    enabled: bool | None = None
    skills: dict[str, Annotated[float, Field(ge=0, le=1)]] | None = None
