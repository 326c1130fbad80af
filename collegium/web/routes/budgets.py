"""/v1/budgets: limits on the usage of keys, teams and applications, and their current usage."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field, model_validator

from collegium.errors import ApplicationNotFound, BadRequest, TeamNotFound
from collegium.experts.clients.events import Json
from collegium.registry.budgets.counters import Level
from collegium.registry.budgets.limits import (
    CAPS,
    COUNTED,
    EACH,
    MOST,
    SECONDS,
    UNITS,
    WINDOWS,
    Limit,
    Metric,
    Scope,
)
from collegium.web.auth import ADMIN, CallerDep, sees_all
from collegium.web.json_in import CheckedRoute
from collegium.web.parts_of import PartsDep
from collegium.web.serving.hold import MEASURED
from collegium.web.serving.limits_in_force import span_of

routes = APIRouter(prefix="/v1/budgets", route_class=CheckedRoute)
Name = Annotated[str, Field(min_length=1, max_length=200)]


class NewLimit(BaseModel):
    """A limit as it is set; the amount is in dollars, tokens, joules, or whatever is counted."""

    model_config = ConfigDict(extra="forbid")

    scope: Scope
    name: Name
    metric: Metric
    window: Annotated[str, Field(max_length=40)] = ""
    amount: Annotated[float, Field(ge=0, le=MOST, allow_inf_nan=False, strict=True)]

    @model_validator(mode="after")
    def _fits_its_metric(self) -> NewLimit:
        if self.metric in CAPS and self.window:
            raise ValueError(f"window: '{self.metric}' applies at every moment and takes no window")
        if self.metric == "stored_bytes" and self.scope == "application":
            raise ValueError("scope: files and responses belong to keys: limit a key or a team")
        if not self.name.isprintable():  # no key, team or application has such a name
            raise ValueError("name: it must be printable characters")
        if self.metric in COUNTED and not _is_window(self.window):
            raise ValueError(
                f"window: '{self.window}' is none of {', '.join(WINDOWS)}, nor a number of "
                "seconds such as 300s"
            )
        if self.limit.amount > MOST:
            most = f"{MOST / UNITS.get(self.metric, 1):,.0f}"
            raise ValueError(f"amount: at most {most} can be counted exactly")
        return self

    @property
    def limit(self) -> Limit:
        """The limit in whole units, as it is stored."""
        amount = math.floor(round(self.amount * UNITS.get(self.metric, 1), 3))
        return Limit(self.scope, self.name, self.metric, self.window, amount)


@routes.get("")
async def budgets(
    parts: PartsDep,
    caller: CallerDep,
    scope: Scope | None = None,
    name: Annotated[str | None, Query(max_length=200)] = None,
) -> Json:
    """List limits with their current use; a key sees its own and those of its team."""
    if sees_all(caller):
        found: Sequence[Limit] = await parts.budget_registry.list()
        found = [*found, *parts.budgets.limits.policies().values()]
    else:
        names: list[tuple[Scope, str]] = [("key", caller.owner)]
        if caller.team is not None:
            names.append(("team", caller.team))
        found = parts.budgets.limits.of(tuple(names))
    chosen = [x for x in found if scope in (None, x.scope) and name in (None, x.name)]
    return {"object": "list", "data": await _shown(chosen, parts)}


@routes.put("", dependencies=ADMIN)
async def put(body: NewLimit, parts: PartsDep) -> Json:
    """Set a limit; it applies from the next request on, on other replicas within two seconds.

    `known` is false where nothing has that name yet, which a typing error also shows.
    """
    await parts.budget_registry.put([body.limit])
    await parts.budgets.read()
    (shown,) = await _shown([body.limit], parts)
    return shown | {"known": await _is_known(body, parts)}


@routes.delete("", dependencies=ADMIN)
async def remove(
    parts: PartsDep,
    scope: Scope,
    name: Annotated[str, Query(max_length=200)],
    metric: Metric | None = None,
    window: Annotated[str | None, Query(max_length=40)] = None,
) -> Json:
    """Remove a limit, or all limits of a key, a team or an application."""
    removed = await parts.budget_registry.remove(scope, name, metric, window)
    if not removed:
        raise BadRequest(f"The {scope} '{name}' has no such limit", "name")
    await parts.budgets.read()
    return {"object": "budget.deleted", "scope": scope, "name": name, "removed": removed}


async def _is_known(limit: NewLimit, parts: PartsDep) -> bool:
    if limit.name == EACH:
        return True
    if limit.scope == "key":
        return parts.callers.knows(limit.name)
    try:
        if limit.scope == "team":
            await parts.keys.team(limit.name)
        else:
            await parts.recognition.get(limit.name)
    except (ApplicationNotFound, TeamNotFound):
        return False
    return True


async def _shown(limits: Sequence[Limit], parts: PartsDep) -> list[Json]:
    counted = [x for x in limits if x.metric in MEASURED and x.name != EACH]
    found = await parts.budgets.counts.levels(counted)
    levels = dict(zip(counted, found, strict=True)) | await _stored(limits, parts)
    return [limit_json(limit, levels.get(limit)) for limit in limits]


async def _stored(limits: Sequence[Limit], parts: PartsDep) -> dict[Limit, Level]:
    stored = [x for x in limits if x.metric == "stored_bytes" and x.name != EACH]
    if not stored:
        return {}
    from collegium.web.serving.storage import used_of  # for who limits that

    return {limit: Level(await used_of(parts, limit), 0) for limit in stored}


def limit_json(limit: Limit, level: Level | None) -> Json:
    """A limit as the API shows it; without a level it counts nothing of its own."""
    shown: dict[str, Any] = {
        "object": "budget",
        "scope": limit.scope,
        "name": limit.name,
        "metric": limit.metric,
        "window": limit.window,
        "amount": limit.shown,
    }
    if level is None:
        return shown
    unit = UNITS.get(limit.metric, 1)
    _, ends = span_of(limit, datetime.now(UTC))
    return shown | {
        "used": (level.used - level.held) / unit,
        "reserved": level.held / unit,
        "left": max(limit.amount - level.used, 0) / unit,
        "window_ends": None if ends is None else ends.isoformat(),
    }


def _is_window(window: str) -> bool:
    if window in WINDOWS:
        return True
    found = SECONDS.fullmatch(window)
    try:
        return found is not None and 0.001 <= float(found[1]) <= 100 * 365.25 * 86_400
    except ValueError:
        return False
