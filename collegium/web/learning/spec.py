"""The specification of a learning run."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from collegium.web.protocols.extension_name import NameOf

Name = Annotated[str, Field(min_length=1, max_length=200)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
DEFAULT_PROMPTS = 400
RESERVED = "reserved_usd"
"""A running run's key, among its estimate, of the dollars that are only reserved."""


class FromLog(BaseModel):
    """Selects the recorded requests to replay."""

    model_config = ConfigDict(extra="forbid")

    application: Name | None = None
    since: datetime | None = None


class LearnSpec(BaseModel):
    """The body of `POST /v1/learning/runs`."""

    model_config = ConfigDict(extra="forbid")

    input_file_id: Name | None = None
    from_log: FromLog | None = None
    prompts: Annotated[int, Field(ge=1, le=20_000)] = DEFAULT_PROMPTS
    """The maximum number of sampled prompts."""
    experts: Annotated[list[Name], Field(min_length=1, max_length=200)] | None = None
    budget_usd: NonNegative | None = None
    checker: dict[str, Any] | None = None
    """`name` and options of the checker of prompts that name none themselves."""
    judge: Name | None = None
    judge_method: Annotated[str, NameOf("judge")] = "pairwise"
    panels: Annotated[list[Annotated[str, NameOf("mode")]], Field(max_length=4)] = []
    """Modes whose aggregator is asked on the replayed answers, to see whether they would pay."""
    race: bool = True
    """Whether experts that no trade-off would choose are no longer asked."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.input_file_id is None) == (self.from_log is None):
            raise ValueError("give either input_file_id or from_log")
        return self
