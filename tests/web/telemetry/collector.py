"""A small collector: it keeps what is exported to it by OTLP over HTTP."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span


@dataclass(frozen=True)
class Seen:
    """A span as it came."""

    name: str
    trace: str
    id: str
    parent: str
    kind: int
    status: int
    attributes: dict[str, Any]
    raw: str

    @staticmethod
    def of(span: Span) -> Seen:
        """From protobuf."""
        return Seen(
            span.name,
            span.trace_id.hex(),
            span.span_id.hex(),
            span.parent_span_id.hex(),
            span.kind,
            span.status.code,
            values(span.attributes),
            str(span),
        )


@dataclass
class Collector:
    """What came. `delay_s` makes it slow, before it answers."""

    port: int = 0
    delay_s: float = 0.0
    spans: list[Seen] = field(default_factory=list)
    metrics: dict[str, Metric] = field(default_factory=dict)
    resource: dict[str, Any] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """What the service's variable names."""
        return f"http://127.0.0.1:{self.port}"

    def named(self, name: str) -> list[Seen]:
        """The spans of a name."""
        return [span for span in self.spans if span.name == name]

    def one(self, name: str) -> Seen:
        """The only span of a name."""
        (found,) = self.named(name)
        return found

    def below(self, parent: Seen) -> list[str]:
        """The names of a span's children, in alphabetical order."""
        return sorted(span.name for span in self.spans if span.parent == parent.id)

    def points(self, metric: str) -> list[dict[str, Any]]:
        """The labels of a metric's series."""
        found = self.metrics[metric]
        data = getattr(found, found.WhichOneof("data") or "")
        return [values(point.attributes) for point in data.data_points]

    def take(self, path: str, body: bytes) -> None:
        """Keep what was posted."""
        time.sleep(self.delay_s)
        if path == "/v1/traces":
            traces = ExportTraceServiceRequest.FromString(body)
            for resource in traces.resource_spans:
                self.resource = values(resource.resource.attributes)
                for scope in resource.scope_spans:
                    self.spans += map(Seen.of, scope.spans)
        elif path == "/v1/metrics":
            measured = ExportMetricsServiceRequest.FromString(body)
            for of_resource in measured.resource_metrics:
                for of_scope in of_resource.scope_metrics:
                    self.metrics |= {metric.name: metric for metric in of_scope.metrics}


@contextmanager
def collecting(delay_s: float = 0.0) -> Iterator[Collector]:
    """A collector on a free port of loopback."""
    collector = Collector(delay_s=delay_s)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            collector.take(self.path, body)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def values(attributes: Any) -> dict[str, Any]:
    """Attributes as a dictionary."""
    found: list[KeyValue] = list(attributes)
    return {a.key: getattr(a.value, a.value.WhichOneof("value") or "string_value") for a in found}
