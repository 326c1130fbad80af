"""The results of a load test: times to tokens, waits, and goodput."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from collegium.evals.core.provenance import Provenance
from collegium.evals.load.replay import Sent


@dataclass(frozen=True)
class Spread:
    """Percentiles, seconds; None if nothing was measured."""

    p50: float | None
    p95: float | None
    p99: float | None


@dataclass(frozen=True)
class Objective:
    """What counts as good: a first token in time, and tokens fast enough after it, seconds."""

    ttft_s: float
    tpot_s: float
    latency_s: float | None = None
    """For the whole answer; None for answers of any length."""

    def met(self, sent: Sent) -> bool:
        """Whether a request's caller could be content."""
        if not sent.whole or sent.ttft_s is None:
            return False
        if self.latency_s is not None and (sent.latency_s or 0.0) > self.latency_s:
            return False
        return sent.ttft_s <= self.ttft_s and (sent.tpot_s or 0.0) <= self.tpot_s


@dataclass(frozen=True)
class Run:
    """One replay at one speed."""

    speed: float
    requests: int
    offered_per_s: float
    statuses: Mapping[str, int]
    """How many got which HTTP status; `broken` are streams that began and did not end well."""
    ttft_s: Spread
    tpot_s: Spread
    waited_s: Spread
    tokens_per_s: float
    goodput_per_s: float
    """Requests a second that met the objective."""
    good_share: float


@dataclass(frozen=True)
class LoadReport:
    """All replays, with what is needed to make them again."""

    trace: str
    objective: Objective
    runs: Sequence[Run]
    provenance: Provenance


def summarise(speed: float, sent: Sequence[Sent], seconds: float, objective: Objective) -> Run:
    """One replay's numbers; percentiles over the requests that were answered."""
    good = sum(map(objective.met, sent))
    statuses = Counter("broken" if s.status == 200 and not s.whole else str(s.status) for s in sent)
    return Run(
        speed=speed,
        requests=len(sent),
        offered_per_s=len(sent) / seconds,
        statuses=dict(sorted(statuses.items())),
        ttft_s=_spread([s.ttft_s for s in sent]),
        tpot_s=_spread([s.tpot_s for s in sent]),
        waited_s=_spread([s.waited_s for s in sent]),
        tokens_per_s=sum(s.output_tokens for s in sent) / seconds,
        goodput_per_s=good / seconds,
        good_share=good / len(sent),
    )


def _spread(values: Sequence[float | None]) -> Spread:
    known = [value for value in values if value is not None]
    if not known:
        return Spread(None, None, None)
    p50, p95, p99 = np.percentile(known, [50, 95, 99]).tolist()
    return Spread(round(p50, 4), round(p95, 4), round(p99, 4))
