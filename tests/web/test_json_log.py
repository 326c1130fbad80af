"""The log as JSON."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from collegium.errors import ExpertUnavailable
from collegium.web.json_log import JsonLines
from collegium.web.request_id import DECISION, PRESENT
from tests.web.conftest import Web


def written(message: str, *values: Any, exc_info: Any = None) -> Any:
    """A line, read back."""
    record = logging.LogRecord("collegium.x", 30, "x.py", 1, message, values, exc_info)
    text = JsonLines().format(record)
    assert text.splitlines() == [text]
    return json.loads(text)


def test_a_line_says_when_how_bad_where_and_what() -> None:
    """And nothing that is not known."""
    line = written("%s is down", "sql")
    assert line.pop("time").endswith("+00:00")
    assert line == {"level": "warning", "logger": "collegium.x", "message": "sql is down"}


def test_no_words_break_a_line() -> None:
    """Whatever an upstream sends, of any alphabet."""
    words = 'a\nb\r\x85\u2028{"level": "error"}\x1b[31m'
    assert written("%s", words)["message"] == words


def test_an_exception_is_in_its_line() -> None:
    """With its traceback."""
    try:
        raise ValueError("odd\nwords")
    except ValueError as exc:
        line = written("failed", exc_info=(type(exc), exc, exc.__traceback__))
    assert "ValueError: odd\nwords" in line["exception"]


async def test_a_line_names_its_request_and_its_decision(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a request is the reason of it."""
    lines: list[Any] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(json.loads(self.format(record)))

    handler = Kept()
    handler.setFormatter(JsonLines())
    logger = logging.getLogger("collegium.experts.dispatch.attempts")
    logger.addHandler(handler)
    try:
        web.experts["sql"].refuses = ExpertUnavailable("sql", "down", detail="two\nlines")
        answer = await web.chat(model="auto")
    finally:
        logger.removeHandler(handler)
    (line,) = lines
    assert line["request_id"] == answer.headers["x-request-id"]
    assert line["decision_id"] == answer.json()["collegium"]["decision"]["id"]
    assert "trace_id" not in line
    assert (PRESENT.get(), DECISION.get()) == ("", "")
