"""The fields of a chat request. Unknown fields are passed on to the expert."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from collegium.errors import BadRequest
from collegium.experts.aggregation.catalogue import mode_names
from collegium.experts.aggregation.options import (
    THRESHOLD,
    WINDOW,
    ScorerName,
    Weighting,
)
from collegium.experts.clients.native import Native
from collegium.experts.dispatch.terms import Priority
from collegium.router.decision import Limits
from collegium.router.rules import NO_RULES, Rules
from collegium.web.protocols.extension_name import NameOf
from collegium.web.wording import json_kind

Dollars = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
Milliseconds = Annotated[float, Field(ge=0, le=1e10, allow_inf_nan=False)]
Joules = Annotated[float, Field(ge=0, le=1e15, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, lt=2**31)]
Bool = Annotated[bool, Field(strict=True)]
"""Neither 1 nor "yes", which some would read otherwise."""
Names = Annotated[list[str], Field(max_length=1000, fail_fast=True)]
Role = Literal["system", "developer", "user", "assistant", "tool", "function"]

PREFIX = "collegium/"
Aggregate = Annotated[str, NameOf("mode", also=("auto",))]
MOST_MEMBERS = 16


LONGEST_APPLICATION = 128


@cache
def panel_models() -> Mapping[str, str]:
    """Virtual models that are answered by a panel, and their modes."""
    return {f"{PREFIX}{mode}": mode for mode in mode_names() if mode != "single"}


def application_name(given: Any, where: str) -> str:
    """An application's name as a caller gives it, checked."""
    name = given.strip() if isinstance(given, str) else ""
    if not name or len(name) > LONGEST_APPLICATION or not name.isprintable():
        raise BadRequest(
            f"{where} must be a string of 1 to {LONGEST_APPLICATION} printable characters", where
        )
    return name


def default_for_null(cls: type[BaseModel], value: Any, field: ValidationInfo) -> Any:
    """OpenAI's API takes null for the default, and many clients send it."""
    if value is not None or field.field_name is None:
        return value
    return cls.model_fields[field.field_name].get_default(call_default_factory=True)


class Options(BaseModel):
    """Options that are all optional: one that is null was not set."""

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        return {k: v for k, v in given.items() if v is not None or k not in cls.model_fields}


class PanelOptions(Options):
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


class Require(Options):
    """The field `routing.require`: the allowed values of each of the expert's labels."""

    model_config = ConfigDict(extra="forbid")

    tags: Names = []
    residency: Names | None = None
    licence: Names | None = None
    data_class: Names | None = None
    local: Bool = False
    """Allow only experts that run here or at a private address."""


class Routing(Options):
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
    require: Require = Field(default_factory=Require)
    k: Annotated[int, Field(ge=1, le=MOST_MEMBERS)] | None = None
    aggregate: Aggregate = "single"
    panel: PanelOptions = Field(default_factory=PanelOptions)
    priority: Priority = "normal"
    failover: Bool | None = None
    """Whether another expert may answer if the chosen one can't; by default, if the router chose
    it.
    """
    hedge: Bool = False
    cache: Bool | None = None
    """Whether the response cache may be used: by default where the same request has one answer."""

    @field_validator("require", mode="before")
    @classmethod
    def _local_by_itself(cls, value: Any) -> Any:
        """Expand `"local"` to the object that it abbreviates; null is not a rule."""
        return {"local": True} if value == "local" else {} if value is None else value

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
            require=self.rules(),
        )

    def rules(self) -> Rules:
        """Return the rules that an expert must satisfy."""
        given = "require" in self.model_fields_set
        return Rules.of(self.require.model_dump()) if given else NO_RULES


class Message(BaseModel):
    """One message of a conversation."""

    model_config = ConfigDict(extra="allow")

    role: Role
    content: str | Annotated[list[dict[str, Any]], Field(fail_fast=True)] | None = None


PARTS = ("text", "image_url", "input_audio", "file", "refusal")
"""Types of parts that have a field of the same name; other types are for the expert to read."""


FIELDS_OF_PARTS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "image_url": (("url",), ("detail",)),
    "input_audio": (("data",), ("format",)),
    "file": ((), ("file_data", "file_id", "filename")),
}
"""Of parts that are objects, the texts that they have to have, and those that they may have."""


def check_parts(parts: list[dict[str, Any]], where: str) -> None:
    """Raise BadRequest if a part of a message's content lacks its own field."""
    for place, part in enumerate(parts):
        kind, at = part.get("type"), f"{where}[{place}]"
        if kind is None and "text" in part:
            kind = "text"
        if not isinstance(kind, str):
            wrong = "is missing" if kind is None else f"must be a string, not {json_kind(kind)}"
            raise BadRequest(f"{at}.type {wrong}", f"{at}.type")
        if kind in PARTS and part.get(kind) is None:
            raise BadRequest(
                f"{at}.{kind} is missing: parts of type '{kind}' require it", f"{at}.{kind}"
            )
        if kind in FIELDS_OF_PARTS:
            _check_fields(part[kind], FIELDS_OF_PARTS[kind], f"{at}.{kind}")
        if kind in ("text", "refusal") and not isinstance(part[kind], str):
            wrong = f"must be a string, not {json_kind(part[kind])}"
            raise BadRequest(f"{at}.{kind} {wrong}", f"{at}.{kind}")


def _check_fields(given: Any, names: tuple[tuple[str, ...], tuple[str, ...]], where: str) -> None:
    """Some servers take an address of an image in the place of its object."""
    needed, possible = names
    if isinstance(given, str) and needed == ("url",):
        return
    if not isinstance(given, dict):
        raise BadRequest(f"{where} must be an object, not {json_kind(given)}", where)
    for name in (*needed, *possible):
        value = given.get(name)
        if name in needed and value is None:
            wrong = "must be a string, not null" if name in given else "is missing"
        elif value is not None and not isinstance(value, str):
            wrong = f"must be a string, not {json_kind(value)}"
        else:
            continue
        raise BadRequest(f"{where}.{name} {wrong}", f"{where}.{name}")


class StreamOptions(Options):
    """Options of a streamed answer."""

    model_config = ConfigDict(extra="allow")

    include_usage: Bool = False


class ChatRequest(BaseModel):
    """A chat completion request in OpenAI's shape, with `routing` beside it."""

    model_config = ConfigDict(extra="allow", strict=True)

    _left_out: tuple[str, ...] = PrivateAttr(default=())
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

    _nulls = field_validator("model", "stream", "routing", mode="before")(
        classmethod(default_for_null)
    )

    @model_validator(mode="after")
    def _parts_are_whole(self) -> ChatRequest:
        for place, message in enumerate(self.messages):
            if isinstance(message.content, list):
                check_parts(message.content, f"messages[{place}].content")
        return self

    @model_validator(mode="after")
    def _one_length(self) -> ChatRequest:
        """Apply the smaller of two limits: upstreams differ in which of the two they read."""
        given = [n for n in (self.max_tokens, self.max_completion_tokens) if n is not None]
        if len(given) == 2 and given[0] != given[1]:
            self.max_tokens = self.max_completion_tokens = min(given)
        return self

    def upstream(self) -> dict[str, Any]:
        """The body that the expert receives: without our own fields and without nulls."""
        ours = {"model", "routing", "stream", "stream_options"}
        asked = self.model_dump(exclude_unset=True, exclude=ours)
        return {name: value for name, value in asked.items() if value is not None}

    def native(self) -> Native | None:
        """The original request, if it came through another protocol or endpoint."""
        return None

    def spelling(self) -> Mapping[str, str]:
        """Names of this chat's fields in the caller's protocol, if they differ."""
        return {}

    def left_out(self) -> tuple[str, ...]:
        """Fields of the caller's request that are not passed on, because no expert supports
        them.
        """
        return self._left_out

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
