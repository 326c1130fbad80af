"""Export traces and metrics to a collector, in separate threads.

OpenTelemetry's standard variables configure the collector; its exporters read them.
"""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Callable, Mapping

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.metrics import MeterProvider as AnyMeterProvider
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import NoOpTracerProvider, SpanKind
from opentelemetry.trace import TracerProvider as AnyTracerProvider

from collegium import __version__
from collegium.experts.tracing import NO_SPAN, Span, Tracer
from collegium.telemetry_variables import exports
from collegium.web.serving.metrics import Metrics
from collegium.web.telemetry.instruments import Instruments
from collegium.web.telemetry.prometheus import WithPrometheus
from collegium.web.telemetry.spans import W3C, RecordedSpan, Trace

NAME = "collegium"
LAST_S = 3.0
"""How long the service waits at shutdown for a collector that does not answer."""
LONGEST_VALUE = 1024
"""Maximum length of an attribute, because callers choose some values, such as the model's name."""


class Telemetry(Tracer):
    """Creates spans, and exports spans and metrics."""

    on = True

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._start: Callable[[str, Context, SpanKind], RecordedSpan] | None = None
        self._ends: list[Callable[[], object]] = []

    def start(self) -> None:
        """Start exporting the signals that the variables do not exclude."""
        resource = Resource(
            {
                "service.name": NAME,
                "service.version": __version__,
                "service.instance.id": str(uuid.uuid4()),  # workers count for themselves
            }
        ).merge(OTELResourceDetector().detect())
        tracer = self._tracers(resource).get_tracer(NAME, __version__)
        instruments = Instruments(self._meters(resource).get_meter(NAME, __version__))

        def start(name: str, parent: Context, kind: SpanKind) -> RecordedSpan:
            span = tracer.start_span(name, parent, kind)
            return RecordedSpan(span, Trace(tracer, instruments), is_root=True)

        self._start = start

    def root(self, name: str, of: object) -> Span:
        """Start the root span of a new trace, with the attributes of a value."""
        if self._start is None:
            return NO_SPAN
        span = self._start(name, Context(), SpanKind.INTERNAL)
        span.add(of)
        return span

    def server(self, name: str, headers: Mapping[str, str]) -> RecordedSpan:
        """Start the span of a request, as a child of the one in its W3C headers."""
        assert self._start is not None, "requests come when the service has started"
        return self._start(name, W3C.extract(headers, Context()), SpanKind.SERVER)

    async def close(self) -> None:
        """Export what is left, without waiting long for a collector that does not answer."""
        ending = threading.Thread(target=self._end, name="end of telemetry", daemon=True)
        ending.start()
        await asyncio.to_thread(ending.join, LAST_S)

    def _end(self) -> None:
        for end in self._ends:
            end()

    def _tracers(self, resource: Resource) -> AnyTracerProvider:
        if not exports("traces"):
            return NoOpTracerProvider()
        limits = SpanLimits(max_attribute_length=LONGEST_VALUE)
        provider = TracerProvider(resource=resource, shutdown_on_exit=False, span_limits=limits)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._ends.append(provider.shutdown)
        return provider

    def _meters(self, resource: Resource) -> AnyMeterProvider:
        if not exports("metrics"):
            return NoOpMeterProvider()
        exporter = WithPrometheus(OTLPMetricExporter(), self._metrics.registry)
        reader = PeriodicExportingMetricReader(exporter)
        provider = MeterProvider(
            [reader],
            resource=resource,
            exemplar_filter=AlwaysOffExemplarFilter(),  # Prometheus's histograms have them
            shutdown_on_exit=False,
        )
        self._ends.append(provider.shutdown)
        return provider
