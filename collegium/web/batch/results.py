"""The lines of a job's output and error files, in OpenAI's format."""

from __future__ import annotations

import json

from collegium.errors import CollegiumError
from collegium.experts.bulk.lines import BadLine
from collegium.experts.clients.events import Json
from collegium.web.errors import error_body


def answered(batch_id: str, number: int, custom_id: str, request_id: str, body: Json) -> Json:
    """A line that an expert answered."""
    response = {"status_code": 200, "request_id": request_id, "body": body}
    return _line(batch_id, number, custom_id, response, None)


def refused(batch_id: str, number: int, custom_id: str, error: CollegiumError) -> Json:
    """A line that failed as a request of its own would have, with the same status and body."""
    response = {
        "status_code": error.http_status,
        "request_id": request_id(batch_id, number),
        "body": error_body(error),
    }
    return _line(batch_id, number, custom_id, response, None)


def bad(batch_id: str, line: BadLine) -> Json:
    """The result of a line that is not a valid request."""
    error = {"code": line.code, "message": line.message, "line": line.number}
    return _line(batch_id, line.number, line.custom_id, None, error)


def expired(batch_id: str, number: int, custom_id: str) -> Json:
    """The result of a line that was not reached in time."""
    message = "This request could not be executed before the completion window expired."
    return _line(batch_id, number, custom_id, None, {"code": "batch_expired", "message": message})


def request_id(batch_id: str, number: int) -> str:
    """The id of a line's result: the same whenever the line is answered."""
    return f"batch_req_{batch_id.removeprefix('batch_')}_{number}"


def encoded(result: Json) -> bytes:
    """The line of a file, in UTF-8; half a surrogate pair, which callers can send, is escaped."""
    try:
        text = json.dumps(result, ensure_ascii=False, separators=(",", ":"))
        return f"{text}\n".encode()
    except UnicodeEncodeError:
        return f"{json.dumps(result, separators=(',', ':'))}\n".encode()


def number_of(result: Json) -> int:
    """The line that a result belongs to."""
    return int(str(result["id"]).rpartition("_")[2])


def cost_of(result: Json) -> float:
    """Return the cost of an answered line; 0 if its price is unknown."""
    outcome = result["response"]["body"]["collegium"]["outcome"]
    return float(outcome["cost_usd"] or 0.0)


def _line(
    batch_id: str, number: int, custom_id: str | None, response: Json | None, error: Json | None
) -> Json:
    return {
        "id": request_id(batch_id, number),
        "custom_id": custom_id,
        "response": response,
        "error": error,
    }
