"""What callers may send. Unknown fields of a chat request pass through to the expert."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from collegium.errors import BadRequest
from collegium.experts.aggregation.catalogue import MODES
from collegium.experts.aggregation.options import (
    THRESHOLD,
    WINDOW,
    ModeName,
    ScorerName,
    Weighting,
)
from collegium.experts.dispatch.terms import Priority
from collegium.router.decision import Limits

Dollars = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
Milliseconds = Annotated[float, Field(ge=0, le=1e10, allow_inf_nan=False)]
Joules = Annotated[float, Field(ge=0, le=1e15, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, lt=2**31)]
Names = Annotated[list[str], Field(max_length=1000, fail_fast=True)]
Role = Literal["system", "developer", "user", "assistant", "tool", "function"]

PREFIX = "collegium/"
PANEL_MODELS: dict[str, ModeName] = {f"{PREFIX}{mode}": mode for mode in MODES if mode != "single"}
"""Virtual models that are answered by a panel."""
Aggregate = ModeName | Literal["auto"]
MOST_MEMBERS = 16


LONGEST_APPLICATION = 128


def application_name(given: Any, where: str) -> str:
    """An application's name as a caller gives it, checked."""
    name = given.strip() if isinstance(given, str) else ""
    if not name or len(name) > LONGEST_APPLICATION or not name.isprintable():
        raise BadRequest(
            f"{where} is a text of 1 to {LONGEST_APPLICATION} printable characters", where
        )
    return name


class PanelOptions(BaseModel):
    """The field `routing.panel`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    quorum: Annotated[int, Field(ge=1, le=MOST_MEMBERS)] | None = None
    aggregator: str | None = None
    samples: bool = False
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None = None
    member_timeout_ms: Annotated[float, Field(gt=0, le=1e10, allow_inf_nan=False)] | None = None
    max_calls: Count | None = None
    max_total_tokens: Count | None = None
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    weights: Weighting = "log_odds"
    by: ScorerName = "logprob"
    threshold: Annotated[float, Field(ge=0, le=1)] = THRESHOLD
    layers: Annotated[int, Field(ge=1, le=4)] = 1
    window: Annotated[int, Field(ge=2, le=MOST_MEMBERS)] = WINDOW
    show_members: bool = False
    """Stream what members say, and give their answers in the body."""


class Routing(BaseModel):
    """The field `routing`: the caller's limits and wishes."""

    model_config = ConfigDict(extra="forbid")

    max_cost_usd: Dollars | None = None
    max_latency_ms: Milliseconds | None = None
    max_energy_j: Joules | None = None
    min_quality: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    tradeoff: Annotated[float, Field(ge=0, le=10, allow_inf_nan=False)] | None = None
    wait_penalty: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    experts_allow: Names | None = None
    experts_deny: Names = []
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
    content: str | Annotated[list[dict[str, Any]], Field(fail_fast=True)] | None = None


class StreamOptions(BaseModel):
    """Options of a streamed answer."""

    model_config = ConfigDict(extra="allow")

    include_usage: bool = False


class ChatRequest(BaseModel):
    """A chat completion request in OpenAI's shape, with `routing` beside it."""

    model_config = ConfigDict(extra="allow", strict=True)

    model: Annotated[str, Field(min_length=1)] = "auto"
    messages: Annotated[list[Message], Field(min_length=1, fail_fast=True)]
    stream: bool = False
    stream_options: StreamOptions | None = None
    n: Annotated[int, Field(ge=1, le=16)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] | None = None
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    stop: str | Annotated[list[str], Field(fail_fast=True)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    response_format: dict[str, Any] | None = None
    tools: Annotated[list[dict[str, Any]], Field(fail_fast=True)] | None = None
    routing: Routing = Field(default_factory=Routing)

    @field_validator("stream", mode="before")
    @classmethod
    def _null_is_false(cls, value: Any) -> Any:
        """OpenAI's API takes null for the default, and some clients send it."""
        return False if value is None else value

    def upstream(self) -> dict[str, Any]:
        """The body that the expert gets: all but what is ours."""
        ours = {"model", "routing", "stream", "stream_options"}
        return self.model_dump(exclude_unset=True, exclude=ours)

    def application(self) -> str | None:
        """The name that the caller gives its application, in OpenAI's `metadata`."""
        metadata = (self.model_extra or {}).get("metadata")
        named = metadata.get("application") if isinstance(metadata, dict) else None
        return None if named is None else application_name(named, "metadata.application")

    def is_structured(self) -> bool:
        """Whether the answer has to keep to tools or a schema."""
        kind = (self.response_format or {}).get("type", "text")
        return bool(self.tools) or kind != "text"

    def wants_usage(self) -> bool:
        """Whether a streamed answer ends with a usage chunk."""
        return self.stream_options is not None and self.stream_options.include_usage
