"""The log as JSON, one object a line."""

from __future__ import annotations

import json
import logging

from collegium.experts.tracing import CURRENT
from collegium.web.request_id import DECISION, PRESENT, at


class JsonLines(logging.Formatter):
    """Formats a record as one line. JSON escapes whatever would end the line."""

    def format(self, record: logging.LogRecord) -> str:
        """The record, and the ids of what it is about, where they are known."""
        line = {
            "time": at(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": PRESENT.get(),
            "decision_id": DECISION.get(),
            "trace_id": CURRENT.get().trace_id,
            "exception": self.formatException(record.exc_info) if record.exc_info else "",
        }
        return json.dumps({name: value for name, value in line.items() if value})
