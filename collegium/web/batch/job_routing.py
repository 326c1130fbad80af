"""What a caller sets for a bulk job as a whole."""

from __future__ import annotations

from typing import Annotated

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
