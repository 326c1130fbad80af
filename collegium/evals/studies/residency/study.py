"""Residency policies on a recorded trace: waiting times if few of many engines fit.

Arrivals and answers' lengths come from a trace of a production service, the prompts from a routing
set: half of it teaches a k-nearest forecast which expert answers what, the other
half is asked. So the experts' shares are those that routing by quality makes. The set's outcomes
say what it costs to ask somebody else who is loaded sooner.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from collegium.errors import SetupError
from collegium.evals.core.bootstrap import Interval
from collegium.evals.core.data import load_set
from collegium.evals.core.provenance import Provenance, provenance
from collegium.evals.load import trace as traces
from collegium.evals.studies.residency.bound import least_wait_s
from collegium.evals.studies.residency.routing import by_worth, difference, quality_of
from collegium.evals.studies.residency.world import LOOK_S, Arrival, Pace, Run, simulate
from collegium.experts.residency.foresight import Foresight
from collegium.experts.residency.lru import Lru
from collegium.experts.residency.view import EngineCost, Policy
from collegium.router.predictors import predictor
from collegium.router.vectors import Encoder

ON_DEMAND, LRU, FORESIGHT = "on demand", "LRU", "foresight"
LRU_AWARE, FORESIGHT_AWARE = "LRU, aware", "foresight, aware"
"""The same policies where the router knows how long each engine would be waited for."""
PATIENCE_S = 600.0
WAIT_PENALTY = 0.02


@dataclass(frozen=True)
class Device:
    """Equal engines on one device: how many of them fit, and what was measured of one."""

    fit: int
    load_s: float
    unload_s: float
    pace: Pace


@dataclass(frozen=True)
class Foretold:
    """How well the waits were forecast of those requests whose engine was not loaded, seconds."""

    requests: int
    median_wait_s: float
    median_error_s: float
    mean_error_s: float
    bias_s: float
    """The mean forecast less the mean wait."""
    kept: float
    """The share that waited no longer than forecast."""

    @classmethod
    def of(cls, run: Run) -> Foretold | None:
        """None if no request found its engine unloaded."""
        forecasts, waits = np.array(run.forecasts), np.array(run.waits)
        absent = forecasts > 0
        if not absent.any():
            return None
        error, waited = (forecasts - waits)[absent], waits[absent]
        return cls(
            int(absent.sum()),
            float(np.median(waited)),
            float(np.median(np.abs(error))),
            float(np.abs(error).mean()),
            float(error.mean()),
            float((error >= -LOOK_S).mean()),
        )


@dataclass(frozen=True)
class Outcome:
    """One policy's waiting times, seconds, and loads; `end_s` is the last answer's time."""

    policy: str
    mean_s: float
    p50_s: float
    p95_s: float
    p99_s: float
    most_s: float
    swaps: int
    end_s: float
    foretold: Foretold | None
    quality: float | None = None
    """The mean of what the answers were really worth."""
    quality_difference: Interval | None = None
    """From routing that knows nothing of who is loaded, with its paired 95 % interval."""

    @classmethod
    def of(cls, policy: str, run: Run, arrivals: Sequence[Arrival]) -> Outcome:
        waits = np.array(run.waits)
        p50, p95, p99 = (float(p) for p in np.percentile(waits, (50, 95, 99)))
        most = float(waits.max())
        mean, told = float(waits.mean()), Foretold.of(run)
        worth = quality_of(arrivals, run.engines)
        given_up = difference(arrivals, run.engines)
        times = (mean, p50, p95, p99, most)
        return cls(policy, *times, run.swaps, run.end, told, worth, given_up)


@dataclass(frozen=True)
class ResidencyReport:
    """All policies on the same requests."""

    data: str
    trace: str
    shares: dict[str, float]
    device: Device
    outcomes: tuple[Outcome, ...]
    bound_p95_s: float
    """No policy can have a lower 95th percentile, not even one that knows the future."""
    provenance: Provenance

    def outcome(self, policy: str) -> Outcome:
        """One policy's row."""
        return next(o for o in self.outcomes if o.policy == policy)


def requests(
    folder: Path,
    trace: tuple[Sequence[float], Sequence[int]],
    encoder: Encoder,
    *,
    experts: int,
    seed: int,
) -> tuple[Arrival, ...]:
    """A trace's arrivals with routed prompts: the `experts` best models of the set take part."""
    data = load_set(folder)
    best = np.argsort(-np.nanmean(data.scores, axis=0))[:experts]
    if len(best) < experts:
        raise SetupError(f"{data.name} has {len(best)} models, fewer than {experts}")
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(data.prompts))
    taught, asked = np.split(order, [len(order) // 2])
    X = np.asarray(encoder.encode(data.prompts), dtype=np.float64)
    forecast = predictor("knn").fit(X[taught], data.scores[np.ix_(taught, best)])
    quality = forecast.predict(X[asked])
    names = [data.models[b] for b in best]
    chosen = [names[column] for column in quality.argmax(axis=1)]
    forecasts = [dict(zip(names, row, strict=True)) for row in quality.tolist()]
    scores = [
        dict(zip(names, row, strict=True)) for row in data.scores[np.ix_(asked, best)].tolist()
    ]
    picked = rng.integers(len(chosen), size=len(trace[0])).tolist()
    return tuple(
        Arrival(at, chosen[p], tokens, p, forecasts[p], scores[p])
        for at, tokens, p in zip(*trace, picked, strict=True)
    )


def read_trace(folder: Path, name: str, every: int = 1) -> tuple[list[float], list[int]]:
    """Seconds from the first arrival, and generated tokens, of each `every`-th request."""
    try:
        arrivals = traces.read_trace(folder, name, sys.maxsize)[::every]
        start = arrivals[0].at_s
        return [a.at_s - start for a in arrivals], [a.output_tokens for a in arrivals]
    except (OSError, ValueError, KeyError, IndexError) as exc:
        raise SetupError(f"the trace '{name}' in {folder} can't be read: {exc!r}") from exc


def compare(
    arrivals: Sequence[Arrival],
    device: Device,
    *,
    data: str,
    trace: str,
    command: str,
    seed: int,
    patience_s: float = PATIENCE_S,
    wait_penalty: float = WAIT_PENALTY,
) -> tuple[ResidencyReport, dict[str, Run]]:
    """Play the requests under each policy; with their forecasts, also where the router is aware."""
    counted = Counter(a.engine for a in arrivals)
    routable = set().union(*(a.forecasts or () for a in arrivals)) - set(counted)
    names = [name for name, _ in counted.most_common()] + sorted(routable)
    engines = {name: EngineCost(1.0, device.load_s, device.unload_s) for name in names}
    runs, ours = {}, Foresight(patience_s=patience_s)
    policies: dict[str, Policy] = {ON_DEMAND: Lru(), LRU: Lru(), FORESIGHT: ours}
    if all(a.forecasts for a in arrivals):
        policies |= {LRU_AWARE: Lru(), FORESIGHT_AWARE: ours}
    for name, policy in policies.items():
        runs[name] = simulate(
            arrivals,
            engines,
            float(device.fit),
            policy,
            device.pace,
            in_order=name == ON_DEMAND,
            route=by_worth(wait_penalty) if name in (LRU_AWARE, FORESIGHT_AWARE) else None,
        )
    report = ResidencyReport(
        data,
        trace,
        {name: count / len(arrivals) for name, count in counted.most_common()},
        device,
        tuple(Outcome.of(name, run, arrivals) for name, run in runs.items()),
        least_wait_s(arrivals, fit=device.fit, load_s=device.load_s),
        provenance(command, seed, {"requests": len(arrivals), "experts": len(engines)}),
    )
    return report, runs
