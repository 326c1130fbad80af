"""Request ids, in answers, the log and upstream traces."""

from __future__ import annotations

import logging
import re
import secrets
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from starlette.datastructures import Headers

from collegium.redaction import one_line

HEADER = "x-request-id"
LONGEST = 128
PRESENT: ContextVar[str] = ContextVar("request_id", default="")
"""The id of the request that is being answered; "" outside of requests."""
DECISION: ContextVar[str] = ContextVar("decision_id", default="")
"""The id of the decision that it led to; "" before."""
WELL_FORMED = re.compile(rf"[!-~]{{1,{LONGEST}}}")
TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
)
TRACESTATE = re.compile(r"[\x20-\x7e]{1,512}")
"""Format of https://www.w3.org/TR/trace-context/, version 00."""


def request_id(headers: Headers) -> str:
    """Return the caller's id if it is well-formed, otherwise a new one."""
    given = headers.get(HEADER, "")
    return given if WELL_FORMED.fullmatch(given) else new_id()


def new_id() -> str:
    """An id that no other request has."""
    return f"req_{secrets.token_hex(12)}"


def trace_of(headers: Headers) -> dict[str, str]:
    """Return the caller's trace context, to pass on to upstreams; empty if it has none.

    Nothing else of a caller's headers is passed on.
    """
    parent = headers.get("traceparent", "")
    if not TRACEPARENT.fullmatch(parent):
        return {}
    state = ",".join(headers.getlist("tracestate"))
    return {"traceparent": parent} | ({"tracestate": state} if TRACESTATE.fullmatch(state) else {})


def at(record: logging.LogRecord) -> str:
    """The time of a line, in UTC, such as `2026-01-31T12:00:00.123+00:00`."""
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


class WithRequest(logging.Formatter):
    """Adds the request's id to each line of the log that a request is the reason of.

    A message is one line, whatever an upstream or a caller wrote into it: nobody can write lines of
    their own. Lines of a traceback are indented.
    """

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        """The time in UTC with milliseconds, as the log in JSON has it."""
        return at(record)

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The message, on one line."""
        return one_line(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:
        """The traceback, each line of it indented and escaped: it quotes what went wrong."""
        lines = super().formatException(ei).split("\n")
        return "\n".join(f"  {one_line(line)}" for line in lines)

    def format(self, record: logging.LogRecord) -> str:
        """The message, and the id in square brackets."""
        line, present = super().format(record), PRESENT.get()
        return f"{line} [{present}]" if present else line
