"""Metrics as a collector gets them."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.metrics.export import Histogram, Sum
from prometheus_client import CollectorRegistry
from prometheus_client import Counter as PrometheusCounter
from prometheus_client import Histogram as PrometheusHistogram

from collegium.errors import ExpertUnavailable
from collegium.web.telemetry.prometheus import metrics_of
from tests.web.telemetry.collector import Collector
from tests.web.telemetry.conftest import Traced


async def test_attempts_are_measured_by_the_conventions(
    traced: Traced, collector: Collector
) -> None:
    """Duration, tokens and the time to the first chunk, with what failed."""
    async with traced() as web:
        await web.chat(stream=True)
        web.experts["sql"].refuses = ExpertUnavailable("sql", "down")
        await web.chat(model="sql")
    durations = collector.points("gen_ai.client.operation.duration")
    good = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "sql",
    }
    assert good in durations
    assert {**good, "error.type": "expert_unavailable"} in durations
    tokens = collector.points("gen_ai.client.token.usage")
    assert {point["gen_ai.token.type"] for point in tokens} == {"input", "output"}
    assert collector.points("gen_ai.client.operation.time_to_first_chunk") == [good]


async def test_prometheus_metrics_are_exported_as_they_are(
    traced: Traced, collector: Collector
) -> None:
    """By the same names, with the same labels and values."""
    async with traced() as web:
        await web.chat()
        await web.parts.background.finish()
    decisions = collector.metrics["collegium_decisions"]
    (point,) = decisions.sum.data_points
    assert (decisions.sum.is_monotonic, point.as_double) == (True, 1.0)
    assert collector.points("collegium_decisions") == [{"expert": "sql", "policy": "quality"}]
    (seconds,) = collector.metrics["collegium_answer_seconds"].histogram.data_points
    assert (seconds.count, sum(seconds.bucket_counts)) == (1, 1)
    assert len(seconds.bucket_counts) == len(seconds.explicit_bounds) + 1


async def test_one_signal_can_be_left_out(
    traced: Traced, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the standard variable."""
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    async with traced() as web:
        assert (await web.chat()).status_code == 200
    assert collector.spans == []
    assert "collegium_decisions" in collector.metrics


async def test_telemetry_can_be_switched_off(
    traced: Traced, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Although a collector is named."""
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    async with traced() as web:
        await web.chat()
        assert not web.parts.telemetry.on


def test_buckets_count_what_lies_between_two_bounds() -> None:
    """Prometheus counts what lies below each."""
    registry = CollectorRegistry()
    seconds = PrometheusHistogram("s", "Seconds", ["e"], buckets=(1, 2), registry=registry)
    for value in (0.5, 0.6, 1.5, 9.0):
        seconds.labels("a").observe(value)
    PrometheusCounter("n", "Number", registry=registry).inc(3)
    found = {metric.name: metric.data for metric in metrics_of(registry.collect(), 1, 2)}
    of_seconds, of_number = found["s"], found["n"]
    assert isinstance(of_seconds, Histogram)
    (point,) = of_seconds.data_points
    assert (point.explicit_bounds, point.bucket_counts) == ([1.0, 2.0], [2, 1, 1])
    assert (point.count, point.sum, point.attributes) == (4, 11.6, {"e": "a"})
    assert isinstance(of_number, Sum)
    assert [p.value for p in of_number.data_points] == [3.0]
