"""What callers may say of a batch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from collegium.router.assignment import JobLimits
from collegium.web.protocols.chat_request import NonNegative


class JobRouting(BaseModel):
    """What holds for the job as a whole; each line may have its own `routing` beside it."""

    model_config = ConfigDict(extra="forbid")

    max_cost_usd: NonNegative | None = None
    capacity: dict[str, Annotated[int, Field(ge=0)]] = {}

    def limits(self) -> JobLimits:
        """The limits as the router takes them."""
        return JobLimits(self.max_cost_usd, dict(self.capacity))


class NewBatch(BaseModel):
    """A bulk job to do."""

    model_config = ConfigDict(extra="forbid")

    input_file_id: Annotated[str, Field(min_length=1, max_length=64)]
    endpoint: Literal["/v1/chat/completions"]
    completion_window: str = "24h"
    metadata: (
        dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]] | None
    ) = Field(None, max_length=16)
    routing: JobRouting = Field(default_factory=JobRouting)
