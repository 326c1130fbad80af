"""Routing options of a bulk job as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field

from collegium.web.protocols.chat_request import Dollars

if TYPE_CHECKING:
    from collegium.router.assignment import JobLimits


class JobRouting(BaseModel):
    """Options of the whole job; each line may have its own `routing` as well."""

    model_config = ConfigDict(extra="forbid")

    max_cost_usd: Dollars | None = None
    capacity: dict[str, Annotated[int, Field(ge=0, lt=2**31)]] = {}

    def limits(self) -> JobLimits:
        """The limits as the router takes them."""
        from collegium.router.assignment import JobLimits  # for those that do jobs

        return JobLimits(self.max_cost_usd, dict(self.capacity))
