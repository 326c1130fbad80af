"""The lines of a job's output and error files, in OpenAI's shape."""

from __future__ import annotations

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
    """A line that is no request."""
    error = {"code": line.code, "message": line.message, "line": line.number}
    return _line(batch_id, line.number, line.custom_id, None, error)


def expired(batch_id: str, number: int, custom_id: str) -> Json:
    """A line whose turn did not come in time."""
    message = "This request could not be executed before the completion window expired."
    return _line(batch_id, number, custom_id, None, {"code": "batch_expired", "message": message})


def request_id(batch_id: str, number: int) -> str:
    """The id of a line's result: the same whenever the line is answered."""
    return f"batch_req_{batch_id.removeprefix('batch_')}_{number}"


def number_of(result: Json) -> int:
    """The line that a result belongs to."""
    return int(str(result["id"]).rpartition("_")[2])


def cost_of(result: Json) -> float:
    """What an answered line has cost; 0 where its price is not known."""
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
