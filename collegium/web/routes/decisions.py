"""/v1/decisions: read, list and delete recorded decisions; callers see their own."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response
from pydantic import AwareDatetime, BeforeValidator

from collegium.errors import BadRequest, Forbidden
from collegium.experts.clients.events import Json
from collegium.registry.decisions.log import LoggedDecision
from collegium.registry.decisions.selection import Selection, State
from collegium.registry.storage.pages import Order
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
    expert: Name = None,
    status: State | None = None,
    since: Time = None,
    before: Time = None,
) -> Selection:
    """Return the selection of the query; callers only get their own decisions."""
    if scope is not None and owner is not None and owner not in scope:
        raise Forbidden(
            "This key can't see that owner's decisions: leave `owner` out, or name one of "
            f"{', '.join(sorted(scope)) or 'its team'}"
        )
    return Selection(
        owner=owner,
        scope=scope,
        application=application,
        session=session,
        expert=expert,
        status=status,
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
    """Return one page of decisions with their outcomes and feedback, newest first."""
    page = await log.list(selection, after=after, limit=limit, order=order)
    return JsonResponse(page_json(page.map(_shown)))


@routes.get(PATH + "/{decision_id}")
async def decision(decision_id: str, log: LogDep, scope: ScopeDep) -> Response:
    """Return one decision with its outcome and feedback, and its texts if they were recorded."""
    return JsonResponse(await log.whole(decision_id, scope=scope))


@routes.delete(PATH)
async def delete_decisions(
    request: Request, retention: RetentionDep, selection: SelectionDep
) -> Json:
    """Delete decisions with everything that belongs to them; the query must select them."""
    named = set(request.query_params)
    if not named or not named <= FILTERS:  # a name that is misspelt must not widen what is deleted
        raise BadRequest(f"Select decisions by {', '.join(sorted(FILTERS))}, and nothing else")
    return {"object": "decisions", "deleted": await retention.delete(selection)}


@routes.delete(PATH + "/{decision_id}")
async def delete_decision(
    decision_id: str, retention: RetentionDep, log: LogDep, scope: ScopeDep
) -> Json:
    """Delete one decision with everything that belongs to it."""
    await log.get(decision_id, scope=scope)
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
        raise BadRequest(f"{name} is out of range", name) from exc
