"""/v1/usage: usage by day, caller, application and expert, and the savings through routing."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query

from collegium.errors import BadRequest, Forbidden
from collegium.experts.clients.events import Json
from collegium.registry.budgets.usage import DAY, Dimension, Key, Span, Used, midnight
from collegium.registry.storage.pages import within
from collegium.web.auth import ScopeDep
from collegium.web.parts_of import PartsDep
from collegium.web.serving.callers import Callers

routes = APIRouter(prefix="/v1/usage")
USUAL_DAYS = 30
MOST_ROWS = 1000
Name = Annotated[str | None, Query(max_length=200)]
Column = Literal[Dimension, "team"]
Day = Annotated[date | None, Query()]


async def _span(
    parts: PartsDep,
    scope: ScopeDep,
    owner: Name = None,
    application: Name = None,
    expert: Name = None,
    team: Name = None,
    since: Day = None,
    before: Day = None,
) -> Span:
    """The range of the query, by default the last 30 days; callers only get their own usage."""
    if owner is not None and not within(scope, owner):
        raise Forbidden("This key can't see that owner's usage: leave `owner` out")
    if before == date.max or date.min in (since, before):
        raise BadRequest("since or before is out of range", "since")
    end = midnight(datetime.now(UTC)) + DAY if before is None else _start(before)
    start = _start(since) if since is not None else end - timedelta(days=USUAL_DAYS)
    if start >= end:
        raise BadRequest("since must be earlier than `before`, which is exclusive", "since")
    if team is not None:
        members = parts.callers.members(team)
        scope = members if scope is None else scope & members
    return Span(start, end, owner, application, expert, scope)


SpanDep = Annotated[Span, Depends(_span)]


@routes.get("")
async def usage(
    parts: PartsDep,
    span: SpanDep,
    by: Annotated[list[Column] | None, Query(max_length=5)] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_ROWS)] = 100,
) -> Json:
    """Sum usage by day, owner, application and expert: the most expensive first."""
    dimensions = list(dict.fromkeys(by or ()))
    asked: list[Dimension] = list(dict.fromkeys("owner" if d == "team" else d for d in dimensions))
    found = _by_team(dimensions, asked, await parts.usage.by(asked, span), parts.callers)
    rows = sorted(found.items(), key=lambda item: _order(dimensions, item))
    total = sum(found.values(), Used())
    return {
        "object": "list",
        "since": span.since.date().isoformat(),
        "before": span.before.date().isoformat(),
        "by": dimensions,
        "total": _used(total),
        "data": [_row(dimensions, key, used) for key, used in rows[:limit]] if dimensions else [],
        "has_more": len(rows) > limit,
    }


@routes.get("/comparison")
async def comparison(parts: PartsDep, scope: ScopeDep) -> Json:
    """Compare the latest routed and rated answers with the best single expert and random choice.

    The comparison includes quality, dollars and the calibration of the forecasts.
    """
    from collegium.web.learning.comparison import compared

    found: Json = await compared(parts, scope)
    return found


def _by_team(
    wanted: list[Column], asked: list[Dimension], found: dict[Key, Used], callers: Callers
) -> dict[Key, Used]:
    """Group the sums of owners by team, if requested."""
    if "team" not in wanted:
        return found
    sums: dict[Key, Used] = {}
    for key, used in found.items():
        known = dict(zip(asked, key, strict=True))
        named = {**known, "team": callers.team_of(known["owner"]) or ""}
        place = tuple(named[name] for name in wanted)
        sums[place] = sums.get(place, Used()) + used
    return sums


def _order(dimensions: list[Column], item: tuple[Key, Used]) -> Any:
    key, used = item
    days = [value for name, value in zip(dimensions, key, strict=True) if name == "day"]
    rest = [str(v) for name, v in zip(dimensions, key, strict=True) if name != "day"]
    return (*days, -used.cost_usd, -used.requests, *rest)


def _row(dimensions: list[Column], key: Key, used: Used) -> Json:
    names: Json = {
        n: v.date().isoformat() if n == "day" else v for n, v in zip(dimensions, key, strict=True)
    }
    return {**names, **_used(used)}


def _used(used: Used) -> Json:
    fields = asdict(used)
    timed, total_ms = fields.pop("timed"), fields.pop("latency_ms")
    return {**fields, "mean_latency_ms": total_ms / timed if timed else None}


def _start(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
