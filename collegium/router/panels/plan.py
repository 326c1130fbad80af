"""The requested panel, and the planned one."""

from __future__ import annotations

from dataclasses import dataclass, field

from collegium.experts.aggregation.base import Panel
from collegium.experts.aggregation.options import Options
from collegium.router.decision import Forecast


@dataclass(frozen=True)
class Wish:
    """The caller's options of a panel; None leaves an option to the planner."""

    mode: str
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
    """The answer must respect tools or a schema, so it can't be rewritten."""
    options: Options = field(default_factory=Options)


@dataclass(frozen=True)
class Plan:
    """A panel that can be asked, and what is expected of it."""

    mode: str
    panel: Panel
    forecast: Forecast
    options: Options
    reason: str
    calls: int
