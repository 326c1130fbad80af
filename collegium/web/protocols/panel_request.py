"""What a caller may say about a panel."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from collegium.experts.aggregation.cascade import THRESHOLD
from collegium.experts.aggregation.catalogue import MODES, ModeName, ScorerName
from collegium.experts.aggregation.grouping import Weighting
from collegium.experts.aggregation.self_moa import WINDOW

PREFIX = "collegium/"
PANEL_MODELS: dict[str, ModeName] = {f"{PREFIX}{mode}": mode for mode in MODES if mode != "single"}
"""Virtual models that are answered by a panel."""
Aggregate = ModeName | Literal["auto"]
MOST_MEMBERS = 16


class PanelOptions(BaseModel):
    """The field `routing.panel`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    quorum: Annotated[int, Field(ge=1, le=MOST_MEMBERS)] | None = None
    aggregator: str | None = None
    samples: bool = False
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None = None
    member_timeout_ms: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    max_calls: Annotated[int, Field(ge=1)] | None = None
    max_total_tokens: Annotated[int, Field(ge=1)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    weights: Weighting = "log_odds"
    by: ScorerName = "logprob"
    threshold: Annotated[float, Field(ge=0, le=1)] = THRESHOLD
    layers: Annotated[int, Field(ge=1, le=4)] = 1
    window: Annotated[int, Field(ge=2, le=MOST_MEMBERS)] = WINDOW
    show_members: bool = False
    """Stream what members say, and give their answers in the body."""
