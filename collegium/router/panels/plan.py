"""What is wanted of a panel, and the panel that was planned."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from collegium.experts.aggregation.base import Panel
from collegium.experts.aggregation.options import ModeName, Options
from collegium.router.decision import Forecast


@dataclass(frozen=True)
class Wish:
    """What the caller wants of a panel; None leaves it to the plan."""

    mode: ModeName | Literal["auto"]
    k: int | None = None
    quorum: int | None = None
    aggregator: str | None = None
    samples: bool = False
    """Members are samples of the best expert."""
    temperature: float | None = None
    member_timeout_ms: float | None = None
    cap: float | None = None
    """Members cost at most this multiple of the chosen expert's answer."""
    max_calls: int | None = None
    max_total_tokens: int | None = None
    seed: int = 0
    verbatim: bool = False
    """The answer has to keep to tools or a schema, so nobody may write it anew."""
    options: Options = field(default_factory=Options)


@dataclass(frozen=True)
class Plan:
    """A panel that can be asked, and what is expected of it."""

    mode: ModeName
    panel: Panel
    forecast: Forecast
    options: Options
    reason: str
    calls: int
