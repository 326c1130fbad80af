"""What traces are made of. Where tracing is off, every span is `NO_SPAN`, which does nothing.

The spans that OpenTelemetry exports are in `collegium.web.telemetry`, imported when tracing is on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from contextvars import ContextVar

from collegium.experts.clients.reply import Call, Reply

Asked = Callable[[Call], AbstractAsyncContextManager[Reply]]
"""Asks one expert, without a span."""


class Span:
    """One step of a request. As a context manager it ends with its block. This one records nothing.

    What a step is `of` (a decision, a call, an outcome) is described where it is recorded.
    """

    trace_id = ""
    """32 hexadecimal digits; "" where nothing is recorded."""

    def child(self, name: str, of: object = None) -> Span:
        """A step within this one, which starts now."""
        return self

    def add(self, what: object) -> None:
        """Add the attributes of a decision, an outcome or the like."""

    def fail(self, error: BaseException) -> None:
        """Mark the step as failed, by the error's code: messages may quote prompts."""

    def end(self) -> None:
        """End the step."""

    def asking(self, call: Call, number: int, ask: Asked) -> AbstractAsyncContextManager[Reply]:
        """`ask(call)` as the attempt of that number; its upstream is told the attempt's span."""
        return ask(call)

    def __enter__(self) -> Span:
        return self

    def __exit__(self, kind: object, exc: BaseException | None, at: object) -> None:
        if exc is not None:
            self.fail(exc)
        self.end()


class Tracer:
    """Starts and exports spans. This one does neither: tracing is off."""

    on = False

    def root(self, name: str, of: object) -> Span:
        """The first span of a new trace."""
        return NO_SPAN

    def start(self) -> None:
        """Begin to export."""

    async def close(self) -> None:
        """Export what is left, within seconds, and stop."""


NO_SPAN = Span()
CURRENT: ContextVar[Span] = ContextVar("span", default=NO_SPAN)
"""The span of the request, or of the line of a bulk job, that is being answered."""


@contextmanager
def within(span: Span) -> Iterator[Span]:
    """End a span with the block; it is the current one until then. Not for use in generators."""
    token = CURRENT.set(span)
    try:
        with span:
            yield span
    finally:
        CURRENT.reset(token)
