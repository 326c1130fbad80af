"""Spans that OpenTelemetry exports. Their attributes are computed after the response was sent."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from functools import cached_property, partial
from types import TracebackType

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from collegium.experts.clients.reply import Call, Reply
from collegium.experts.tracing import Asked, Span
from collegium.web.telemetry.attributes import Value, attributes_of, error_type
from collegium.web.telemetry.instruments import Instruments

W3C = TraceContextTextMapPropagator()


class Trace:
    """State that the spans of one request share.

    Attributes and metrics take most of the time (85 of 135 µs per request), so they are deferred
    until the root span ends, after the response.
    """

    def __init__(self, tracer: trace.Tracer, instruments: Instruments) -> None:
        self.tracer = tracer
        self.instruments = instruments
        self._later: list[Callable[[], None]] | None = []

    def later(self, work: Callable[[], None]) -> None:
        """Run a function when the root span ends, or now if it has ended."""
        if self._later is None:
            work()
        else:
            self._later.append(work)

    def end(self) -> None:
        """End the root span and run what was deferred."""
        waiting, self._later = self._later or [], None
        for work in waiting:
            work()


class RecordedSpan(Span):
    """A span of a trace."""

    def __init__(self, span: trace.Span, trace_: Trace, *, is_root: bool = False) -> None:
        self.trace = trace_
        self._span = span
        self._is_root = is_root
        self._of: list[object] = []
        self._error: str | None = None

    @cached_property
    def trace_id(self) -> str:  # type: ignore[override]
        """The id of its trace; "" if that is not exported."""
        context = self._span.get_span_context()
        return f"{context.trace_id:032x}" if context.trace_flags.sampled else ""

    @cached_property
    def context(self) -> Context:
        """The context in which child spans are started."""
        return trace.set_span_in_context(self._span, Context())

    def child(
        self, name: str, of: object = None, *, kind: SpanKind = SpanKind.INTERNAL
    ) -> RecordedSpan:
        """Start a child span."""
        child = RecordedSpan(self.trace.tracer.start_span(name, self.context, kind), self.trace)
        if of is not None:
            child.add(of)
        return child

    def add(self, what: object) -> None:
        """Add the attributes of a value, which must not change afterwards."""
        self._of.append(what)

    def rename(self, name: str) -> None:
        """Rename the span."""
        self._span.update_name(name)

    def fail(self, error: BaseException) -> None:
        """Record the error's code, or that the step was cancelled."""
        code = error_type(error)
        if code is None:
            self.add({"collegium.status": "cancelled"})
        else:
            self.failed(code)

    def failed(self, code: str) -> None:
        """Record a failure."""
        self._error = code

    def end(self) -> None:
        """End the span."""
        self.trace.later(partial(self._write, time.time_ns()))
        if self._is_root:
            self.trace.end()

    def asking(self, call: Call, number: int, ask: Asked) -> AbstractAsyncContextManager[Reply]:
        """Call `ask(call)` in a span of its own, which is passed to the upstream."""
        span = self.child(f"attempt {number}", call, kind=SpanKind.CLIENT)
        return Attempt(span, call, ask)

    def headers(self) -> dict[str, str]:
        """The W3C trace context that makes an upstream's spans children of this one."""
        carrier: dict[str, str] = {}
        W3C.inject(carrier, self.context)
        return carrier

    def _write(self, ended_ns: int) -> None:
        found: dict[str, Value] = {}
        for what in self._of:
            told = attributes_of(what)
            found.update((name, value) for name, value in told.items() if value is not None)
        if self._error is not None:
            found["error.type"] = self._error
            self._span.set_status(StatusCode.ERROR)
        self._span.set_attributes(found)
        self._span.end(ended_ns)


class Attempt:
    """A call with a span that ends when the reply is left, or fails to begin."""

    def __init__(self, span: RecordedSpan, call: Call, ask: Asked) -> None:
        self._span = span
        self._call = call
        self._asked = ask(replace(call, headers={**call.headers, **span.headers()}))
        self._started = time.perf_counter()
        self._reply: Reply | None = None

    async def __aenter__(self) -> Reply:
        """Return the reply that has begun."""
        try:
            self._reply = await self._asked.__aenter__()
        except BaseException as exc:
            self._end(exc)
            raise
        return self._reply

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, at: TracebackType | None
    ) -> bool | None:
        """End the call, and then the span."""
        try:
            return await self._asked.__aexit__(kind, exc, at)
        finally:
            self._end(exc)

    def _end(self, error: BaseException | None) -> None:
        took_s = time.perf_counter() - self._started
        if error is not None:
            self._span.fail(error)
        code = None if error is None else error_type(error) or "cancelled"
        self._span.trace.later(partial(self._record, took_s, code))
        self._span.end()

    def _record(self, took_s: float, error: str | None) -> None:
        reply, found = self._reply, dict[str, Value | None]()
        if reply is not None:
            found.update(attributes_of(reply))
            if reply.first_at is not None:
                found["gen_ai.response.time_to_first_chunk"] = reply.first_at - self._started
        self._span.add(found)
        self._span.trace.instruments.asked(self._call, found, took_s=took_s, error=error)
