"""Request ids and trace contexts from headers, and lines of the log."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator

import pytest
from starlette.datastructures import Headers

from collegium.cli.serving import log_to_stderr
from collegium.web.request_id import LONGEST, PRESENT, WithRequest, request_id, trace_of

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def present() -> Iterator[str]:
    """The id of a request in progress."""
    token = PRESENT.set("req_1")
    yield "req_1"
    PRESENT.reset(token)


def logged(message: str) -> str:
    """A line of the log, as the service writes it."""
    record = logging.LogRecord("name", logging.INFO, __file__, 1, message, None, None)
    return WithRequest("%(message)s").format(record)


@pytest.mark.parametrize("given", ["abc", "a/b:c=1", "x" * LONGEST])
def test_a_well_formed_id_is_kept(given: str) -> None:
    """Callers find their own id in the log."""
    assert request_id(Headers({"x-request-id": given})) == given


@pytest.mark.parametrize("given", ["", "x" * (LONGEST + 1), "a\tb", "a b", " ", "a\n", "ä"])
def test_any_other_id_is_replaced(given: str) -> None:
    """A new one is unique."""
    headers = Headers({"x-request-id": given})
    new = request_id(headers)
    assert new.startswith("req_")
    assert new != request_id(headers)


def test_a_trace_context_is_passed_on() -> None:
    """Several `tracestate` headers are one list."""
    raw = [(b"traceparent", PARENT.encode()), (b"tracestate", b"a=1"), (b"tracestate", b"b=2")]
    assert trace_of(Headers(raw=raw)) == {"traceparent": PARENT, "tracestate": "a=1,b=2"}
    assert trace_of(Headers({"traceparent": PARENT})) == {"traceparent": PARENT}


@pytest.mark.parametrize(
    "parent",
    [
        "",
        PARENT.upper(),
        PARENT.replace("00-4", "ff-4"),
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-4bf92f3577b34da6a3ce929d0e0e4736-{'0' * 16}-01",
        f"{PARENT}-more",
    ],
)
def test_an_invalid_trace_context_is_dropped(parent: str) -> None:
    """With its state."""
    assert trace_of(Headers({"traceparent": parent, "tracestate": "a=1"})) == {}


def test_an_invalid_state_is_dropped_alone() -> None:
    """The parent is still passed on."""
    headers = Headers({"traceparent": PARENT, "tracestate": "a" * 513})
    assert trace_of(headers) == {"traceparent": PARENT}


def test_lines_of_a_request_have_its_id(present: str) -> None:
    """In square brackets at the end."""
    assert logged("asked") == "asked [req_1]"


def test_lines_of_the_service_begin_with_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """In UTC, as those in JSON; a traceback stays below its line."""
    handlers: list[logging.Handler] = []
    monkeypatch.setattr(logging.getLogger(), "addHandler", handlers.append)
    log_to_stderr("text")
    record = logging.LogRecord("name", logging.WARNING, __file__, 1, "broke\noff", None, None)
    record.created = 1_800_000_000.25
    assert handlers[0].format(record) == "2027-01-15T08:00:00.250+00:00 broke\\noff"


def test_a_message_is_one_line() -> None:
    """Nobody can forge a line of the log, or control a terminal."""
    assert logged("a\nb\r\x1b[31m\x85\u2028c") == r"a\nb\r\x1b[31m\x85\u2028c"
    assert logged("a\u202eb\u2066c") == r"a\u202eb\u2066c"


def test_tracebacks_are_indented() -> None:
    """So a line of the log that isn't indented begins an entry."""
    try:
        raise ValueError("broke\nover \x1b[2J\r\u2028two lines")
    except ValueError:
        record = logging.LogRecord("a", logging.ERROR, __file__, 1, "x", None, sys.exc_info())
    first, *others = WithRequest("%(message)s").format(record).splitlines()
    assert first == "x"
    assert others[-1] == r"  over \x1b[2J\r\u2028two lines"
    assert all(line.startswith("  ") for line in others)
