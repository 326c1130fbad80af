"""Export Prometheus's metrics over OTLP under the same names, so that each is counted only once."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricExporter,
    MetricExportResult,
    MetricsData,
    NumberDataPoint,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client import CollectorRegistry
from prometheus_client import Metric as Family
from prometheus_client.samples import Sample

SCOPE = InstrumentationScope("collegium.prometheus")
CUMULATIVE = AggregationTemporality.CUMULATIVE
BESIDE = ("sum", "count", "created")
"""The samples of a Prometheus histogram besides its buckets."""
Labels = tuple[tuple[str, str], ...]


class WithPrometheus(MetricExporter):
    """Exports a Prometheus registry together with OpenTelemetry's own instruments."""

    def __init__(self, exporter: MetricExporter, registry: CollectorRegistry) -> None:
        super().__init__(exporter._preferred_temporality, exporter._preferred_aggregation)
        self._exporter = exporter
        self._registry = registry
        self._since_ns = time.time_ns()

    def export(
        self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any
    ) -> MetricExportResult:
        """Export both."""
        families = list(metrics_of(self._registry.collect(), self._since_ns, time.time_ns()))
        scope = ScopeMetrics(SCOPE, families, "")
        first, *others = metrics_data.resource_metrics
        ours = replace(first, scope_metrics=[*first.scope_metrics, scope])
        data = MetricsData([ours, *others])
        return self._exporter.export(data, timeout_millis, **kwargs)

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Do nothing: no data is buffered."""
        return self._exporter.force_flush(timeout_millis)

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Stop the exporter."""
        self._exporter.shutdown(timeout_millis, **kwargs)


def metrics_of(families: Iterable[Family], since_ns: int, now_ns: int) -> Iterator[Metric]:
    """Convert Prometheus's counters, gauges and histograms to OpenTelemetry's."""
    for family in families:
        if family.type == "counter":
            points = [
                NumberDataPoint(s.labels, since_ns, now_ns, s.value)
                for s in family.samples
                if s.name.endswith("_total")
            ]
            data: Sum | Gauge | Histogram = Sum(points, CUMULATIVE, is_monotonic=True)
        elif family.type == "gauge":
            data = Gauge(
                [NumberDataPoint(s.labels, now_ns, now_ns, s.value) for s in family.samples]
            )
        elif family.type == "histogram":
            data = Histogram(_histograms(family.samples, since_ns, now_ns), CUMULATIVE)
        else:
            continue
        yield Metric(family.name, family.documentation, family.unit or None, data)


def _histograms(samples: Iterable[Sample], since_ns: int, now_ns: int) -> list[HistogramDataPoint]:
    """Convert cumulative buckets to OpenTelemetry's, which lie between two bounds."""
    found: dict[Labels, dict[str, float]] = defaultdict(dict)
    for sample in samples:
        labels = {name: value for name, value in sample.labels.items() if name != "le"}
        part = sample.labels.get("le") or sample.name.rpartition("_")[2]
        found[tuple(labels.items())][part] = sample.value
    return [_histogram(dict(labels), parts, since_ns, now_ns) for labels, parts in found.items()]


def _histogram(
    labels: Mapping[str, str], parts: Mapping[str, float], since_ns: int, now_ns: int
) -> HistogramDataPoint:
    upto = {float(bound): count for bound, count in parts.items() if bound not in BESIDE}
    counts = [0.0, *upto.values()]
    return HistogramDataPoint(
        attributes=labels,
        start_time_unix_nano=since_ns,
        time_unix_nano=now_ns,
        count=round(parts["count"]),
        sum=parts["sum"],
        bucket_counts=[round(more - less) for less, more in pairwise(counts)],
        explicit_bounds=list(upto)[:-1],
        min=None,  # type: ignore[arg-type]  # Prometheus keeps neither; OTLP need not have them
        max=None,  # type: ignore[arg-type]
    )
