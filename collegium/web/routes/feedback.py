"""POST /v1/feedback and /v1/feedback/bulk: ratings of answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Header, Request
from pydantic import ValidationError

from collegium.errors import BadRequest, CollegiumError
from collegium.experts.clients.events import Json
from collegium.json_bounds import whole_pairs
from collegium.registry.decisions.log import FeedbackRecord
from collegium.web.auth import caller_of
from collegium.web.errors import error_body, invalid_body
from collegium.web.json_in import CheckedRoute
from collegium.web.parts_of import parts_of
from collegium.web.serving.feedback import Feedback, FeedbackService, Said, Sender

routes = APIRouter(route_class=CheckedRoute)
AT_ONCE = 200
"""Lines that are handled before other requests have their turn."""
MOST_LINES = 10_000
MOST_MARKS = 50 * MOST_LINES
"""The maximum number of commas or line ends that are read: more would take over a second."""
LINES = ("application/jsonl", "application/x-ndjson", "application/x-jsonlines")
Key = Annotated[str | None, Header(alias="idempotency-key", min_length=1, max_length=255)]
Line = Feedback | Json
"""A rating, or its error."""


async def _service(request: Request) -> FeedbackService:
    parts = parts_of(request)
    return FeedbackService(parts.log, parts.recorder, parts.learning, parts.catalogue)


async def _sender(request: Request) -> Sender:
    caller = await caller_of(request)
    keyed = parts_of(request).settings.api_key is not None
    source = caller.owner if keyed else f"address {caller.name}"
    everything = caller.role == "operator"
    return Sender(
        caller.owner, source, everything=everything, allowed_experts=caller.allowed_experts
    )


FeedbackDep = Annotated[FeedbackService, Depends(_service)]
SenderDep = Annotated[Sender, Depends(_sender)]


@routes.post("/v1/feedback")
async def feedback(
    body: Feedback, service: FeedbackDep, sender: SenderDep, key: Key = None
) -> Json:
    """Record a rating of an answer, and learn from it."""
    (said,) = await service.take([(body, body.id or key)], sender)
    if isinstance(said, CollegiumError):
        raise said
    return _shown(body, said)


@routes.post("/v1/feedback/bulk")
async def bulk(request: Request, service: FeedbackDep, sender: SenderDep, key: Key = None) -> Json:
    """Record many ratings, as a list or as JSON lines, each with its own result."""
    lines = await _lines(request)
    data: list[Json] = []
    for start in range(0, len(lines), AT_ONCE):
        read = [_read(line) for line in lines[start : start + AT_ONCE]]
        good = [(place, line) for place, line in enumerate(read) if isinstance(line, Feedback)]
        given = [(o, o.id or (key and f"{key}\n{start + place}")) for place, o in good]
        said = iter(await service.take(given, sender))
        for place, line in enumerate(read):
            number = {"line": start + place + 1}
            data.append(
                number | (_answered(line, next(said)) if isinstance(line, Feedback) else line)
            )
    return {"object": "list", "data": data}


async def _lines(request: Request) -> Sequence[bytes]:
    """Return the raw ratings of a body, which is a list or lines of JSON."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = await request.body()
    if max(body.count(each) for each in (b"\n", b"\r", b",")) > MOST_MARKS:
        raise BadRequest(f"The body has too many lines or fields: send at most {MOST_LINES} lines")
    if kind == "application/json":
        try:
            found: Sequence[Any] = msgspec.json.decode(whole_pairs(body), type=list[msgspec.Raw])
        except (msgspec.DecodeError, RecursionError) as exc:
            raise BadRequest(f"The body is not a JSON list of feedback: {exc}") from exc
    elif kind in LINES:
        found = [whole_pairs(line) for line in body.splitlines() if line.strip()]
    else:
        raise BadRequest(f"Send a list as application/json, or lines as {' or '.join(LINES)}")
    if len(found) > MOST_LINES:
        raise BadRequest(f"{len(found)} lines are too many: send at most {MOST_LINES} at once")
    return [bytes(line) for line in found]


def _read(line: bytes) -> Line:
    try:
        return Feedback.model_validate_json(line)
    except ValidationError as exc:
        return {"status": 400, **invalid_body(exc.errors())}


def _answered(feedback: Feedback, said: Said) -> Json:
    if isinstance(said, CollegiumError):
        return {"status": said.http_status, **error_body(said)}
    return {"status": 200, **_shown(feedback, said)}


def _shown(feedback: Feedback, said: Sequence[FeedbackRecord]) -> Json:
    """Return the record, or all of them if a whole session was rated."""
    shown = [_record(each) for each in said]
    return {"object": "list", "data": shown} if feedback.scope == "session" else shown[0]


def _record(record: FeedbackRecord) -> Json:
    shown = ("id", "decision_id", "verdict", "score", "source", "preferred")
    return {name: getattr(record, name) for name in shown}
