"""Metrics of a service that several processes count: theirs are added up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar

ADDED = frozenset({"collegium_in_flight", "collegium_queue_depth", "collegium_slots_taken"})
"""Gauges of which each process has a part."""
HIGHEST = frozenset({"collegium_breaker", "collegium_paused_seconds"})
"""Gauges that a process knows once it has to; the others are the owner's to tell."""
Key = tuple[str, tuple[tuple[str, str], ...]]
Snapshot = Sequence[tuple[str, str, list[Any]]]
"""Name and type of each family, and its samples: name, labels, value and exemplar."""


def snapshot(registry: CollectorRegistry) -> Snapshot:
    """What a worker tells of its metrics."""
    return [
        (
            family.name,
            family.type,
            [
                (s.name, s.labels, s.value, None if s.exemplar is None else tuple(s.exemplar))
                for s in family.samples
            ],
        )
        for family in registry.collect()
    ]


class Ended:
    """The counters of workers that are gone, added up, so that none ever falls."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, str], dict[Key, float]] = {}

    def add(self, found: Snapshot) -> None:
        """Add what a worker counted to its end."""
        for name, kind, samples in found:
            if kind not in ("counter", "histogram"):
                continue
            sums = self._sums.setdefault((name, kind), {})
            for sample, labels, value, _ in samples:
                key = sample, tuple(sorted(labels.items()))
                sums[key] = value if sample.endswith("_created") else sums.get(key, 0.0) + value

    def snapshot(self) -> Snapshot:
        """The sums, as one more worker would tell them."""
        return [
            (name, kind, [(sample, dict(labels), value, None) for (sample, labels), value in s])
            for (name, kind), sums in self._sums.items()
            for s in [list(sums.items())]
        ]


class Together(Collector):
    """The owner's metrics with those of the workers."""

    def __init__(self, own: CollectorRegistry, others: Iterable[Snapshot]) -> None:
        self._own = own
        self._others = list(others)

    def collect(self) -> Iterator[Metric]:
        """Each family of the owner, with what the others have of it."""
        told: dict[str, list[Any]] = {}
        for snap in self._others:
            for name, _, samples in snap:
                told.setdefault(name, []).extend(samples)
        for family in self._own.collect():
            yield _together(family, told.get(family.name, ()))


def _together(family: Metric, others: Iterable[Sequence[Any]]) -> Metric:
    if family.type == "gauge" and family.name not in ADDED | HIGHEST:
        return family
    values: dict[Key, float] = {}
    exemplars: dict[Key, Exemplar] = {}
    own = [(s.name, s.labels, s.value, s.exemplar) for s in family.samples]
    for name, labels, value, exemplar in (*own, *others):
        key = name, tuple(labels.items())
        known = values.get(key)
        values[key] = value if known is None else _both(family, name, known, value)
        if exemplar is not None:
            exemplars[key] = Exemplar(*exemplar)
    found = Metric(family.name, family.documentation, family.type)
    for (name, pairs), value in sorted(values.items(), key=_in_order):
        found.add_sample(name, dict(pairs), value, exemplar=exemplars.get((name, pairs)))
    return found


def _both(family: Metric, name: str, one: float, other: float) -> float:
    if name.endswith("_created"):
        return min(one, other)
    return max(one, other) if family.name in HIGHEST else one + other


def _in_order(item: tuple[Key, float]) -> tuple[Any, ...]:
    """Samples of the same labels together, buckets by their bounds, as the formats ask for."""
    (name, pairs), _ = item
    labels: Mapping[str, str] = dict(pairs)
    rest = tuple((key, value) for key, value in pairs if key != "le")
    order = ("_bucket", "_count", "_sum", "_total", "_created")
    kind = next((i for i, end in enumerate(order) if name.endswith(end)), len(order))
    return rest, kind, float(labels.get("le", "0"))
