"""/v1/decisions: see, list and delete what was recorded; callers their own."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response
from pydantic import AwareDatetime, BeforeValidator

from collegium.errors import BadRequest, Forbidden
from collegium.experts.clients.events import Json
from collegium.registry.decisions import LoggedDecision
from collegium.registry.pages import Order
from collegium.registry.selection import Selection
from collegium.web.auth import ScopeDep
from collegium.web.lean_route import JsonResponse
from collegium.web.parts_of import LogDep, RetentionDep
from collegium.web.routes.files import page_json

routes = APIRouter()
PATH = "/v1/decisions"
FILTERS = frozenset({"application", "session", "owner", "since", "before"})
Name = Annotated[str | None, Query(min_length=1, max_length=200)]


def _no_number(given: object) -> object:
    """Refuse seconds since 1970: `since=2026` would mean 1970, and delete everything."""
    if isinstance(given, str) and given.lstrip("+-").replace(".", "", 1).isdigit():
        raise ValueError("write a time as 2026-11-29T00:00:00Z")
    return given


Time = Annotated[AwareDatetime | None, Query(), BeforeValidator(_no_number)]


async def _selection(
    scope: ScopeDep,
    owner: Annotated[str | None, Query(max_length=64)] = None,
    application: Name = None,
    session: Name = None,
    since: Time = None,
    before: Time = None,
) -> Selection:
    """What the query names; to a caller no others' decisions."""
    if scope is not None and owner not in (None, scope):
        raise Forbidden("This key sees its own decisions alone: leave `owner` out")
    return Selection(
        owner=owner if scope is None else scope,
        application=application,
        session=session,
        since=_utc(since, "since"),
        before=_utc(before, "before"),
    )


SelectionDep = Annotated[Selection, Depends(_selection)]


@routes.get(PATH)
async def decisions(
    log: LogDep,
    selection: SelectionDep,
    after: str | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    order: Order = "desc",
) -> Response:
    """One page of decisions with their outcomes and feedback, newest first."""
    page = await log.list(selection, after=after, limit=limit, order=order)
    return JsonResponse(page_json(page.map(_shown)))


@routes.get(PATH + "/{decision_id}")
async def decision(decision_id: str, log: LogDep, scope: ScopeDep) -> Response:
    """One decision with its outcome and feedback, and its texts where they were kept."""
    return JsonResponse(await log.whole(decision_id, owner=scope))


@routes.delete(PATH)
async def delete_decisions(
    request: Request, retention: RetentionDep, selection: SelectionDep
) -> Json:
    """Delete decisions with all that hangs on them; the query has to say which."""
    named = set(request.query_params)
    if not named or not named <= FILTERS:  # a name that is misspelt must not widen what is deleted
        raise BadRequest(f"Say which decisions by {', '.join(sorted(FILTERS))}, and nothing else")
    return {"object": "decisions", "deleted": await retention.delete(selection)}


@routes.delete(PATH + "/{decision_id}")
async def delete_decision(
    decision_id: str, retention: RetentionDep, log: LogDep, scope: ScopeDep
) -> Json:
    """Delete one decision with all that hangs on it."""
    await log.get(decision_id, owner=scope)
    await retention.delete(Selection(decision_id=decision_id))
    return {"id": decision_id, "object": "decision", "deleted": True}


def _shown(logged: LoggedDecision) -> Json:
    return {
        "id": logged.decision.id,
        "decision": logged.decision,
        "outcome": logged.outcome,
        "feedback": logged.feedback,
    }


def _utc(moment: datetime | None, name: str) -> datetime | None:
    try:
        return moment and moment.astimezone(UTC)
    except OverflowError as exc:
        raise BadRequest(f"{name} is no time that a calendar has", name) from exc
