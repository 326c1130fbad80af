"""/v1/applications: list the sources of requests, name them, set policies, merge and split them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from collegium.errors import ApplicationNotFound, BadRequest
from collegium.experts.clients.events import Json
from collegium.registry.application import Application
from collegium.registry.budgets.counters import Level
from collegium.registry.budgets.limits import NANO, Limit
from collegium.router.applications.naming import is_tag, tagged
from collegium.router.applications.resolver import OTHER
from collegium.web.auth import ADMIN
from collegium.web.json_in import CheckedRoute
from collegium.web.parts_of import BudgetsDep, CatalogueDep, RecognitionDep
from collegium.web.protocols.chat_request import Dollars, Require
from collegium.web.serving.budgets import Budgets
from collegium.web.serving.limits_in_force import span_of
from collegium.web.serving.recognition import Recognition

CENTURY_S = 100 * 365.25 * 86_400.0
"""The longest window: its end still has a date."""
routes = APIRouter(dependencies=ADMIN, route_class=CheckedRoute)
Name = Annotated[str, Field(min_length=1, max_length=200)]
MOST_NAMES = 1000


class PolicyChanges(BaseModel):
    """The rules of an application; null takes one away, what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    tradeoff: Annotated[float, Field(ge=0, le=10, allow_inf_nan=False)] | None = None
    experts_allow: Annotated[list[Name], Field(min_length=1, max_length=MOST_NAMES)] | None = None
    experts_deny: Annotated[list[Name], Field(max_length=MOST_NAMES)] | None = None
    required_tags: Annotated[list[Name], Field(max_length=MOST_NAMES)] | None = None
    require: Require | None = None
    max_cost_usd: Dollars | None = None
    budget_usd: Dollars | None = None
    budget_window_s: Annotated[float, Field(gt=0, le=CENTURY_S, allow_inf_nan=False)] | None = None


class ApplicationChanges(BaseModel):
    """The fields of an application that operators may change."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(max_length=200)] | None = None
    policy: PolicyChanges | None = None


class Merge(BaseModel):
    """Into which application another is merged."""

    model_config = ConfigDict(extra="forbid")

    into: Name


class Split(BaseModel):
    """Selects an application that was merged into this one and becomes separate again."""

    model_config = ConfigDict(extra="forbid")

    fingerprint: Name | None = None


@routes.get("/v1/applications")
async def applications(recognition: RecognitionDep) -> Json:
    """List applications with their number and share of requests, the busiest first."""
    found = applications_json(await recognition.all())
    return {"object": "list", "data": list(found.values())}


@routes.get("/v1/applications/{key:path}")
async def application(key: str, recognition: RecognitionDep, budgets: BudgetsDep) -> Json:
    """Return one application, with its spending."""
    await recognition.get(key)  # 404 where there is none
    return await _shown(key, recognition, budgets)


@routes.patch("/v1/applications/{key:path}")
async def change(
    key: str,
    body: ApplicationChanges,
    recognition: RecognitionDep,
    catalogue: CatalogueDep,
    budgets: BudgetsDep,
) -> Json:
    """Change an application's name or policy; this applies from the next request on.

    A policy may be set before the first request has the application's tag.
    """
    try:
        before, known = await recognition.get(key), True
    except ApplicationNotFound:
        if body.policy is None or not is_tag(key):
            raise
        before, known = tagged(key), False
    changes: dict[str, Any] = {}
    if body.name is not None:
        changes["name"] = body.name.strip()
    if body.policy is not None:
        experts = {expert.name for expert in await catalogue.now()}
        changes["policy"] = changed_policy(before, body.policy, experts)
    if not known:
        await recognition.declare(before)
    if changes:
        await recognition.change(key, **changes)
    return await _shown(key, recognition, budgets)


@routes.post("/v1/applications/{key:path}/merge")
async def merge(key: str, body: Merge, recognition: RecognitionDep, budgets: BudgetsDep) -> Json:
    """Merge an application into another one."""
    await merged(key, body.into, recognition)
    return await _shown(key, recognition, budgets)


@routes.post("/v1/applications/{key:path}/split")
async def split(key: str, body: Split, recognition: RecognitionDep, budgets: BudgetsDep) -> Json:
    """Undo a merge of this application, or of one that was merged into it."""
    own = await parted(key, body.fingerprint, recognition)
    return await _shown(own, recognition, budgets)


def applications_json(among: Sequence[Application]) -> dict[str, Json]:
    """Applications by key as the API shows them, each with what was merged into it."""
    by_key = {a.key: a for a in among}
    members: dict[str, list[Application]] = {key: [] for key in by_key}
    for each in among:
        if (final := _final(each, by_key)) != each.key:
            members[final].append(each)
    total = sum(a.seen for a in among)
    return {a.key: _application_json(a, members[a.key], total) for a in among}


def _application_json(application: Application, members: list[Application], total: int) -> Json:
    requests = application.seen + sum(member.seen for member in members)
    return {
        "object": "application",
        "key": application.key,
        "name": application.name,
        "tenant": application.tenant,
        "tagged": application.tagged,
        "text": application.text,
        "requests": requests,
        "share": round(requests / total, 6) if total else 0.0,
        "variants": application.variants,
        "first_seen": application.first_seen.isoformat(),
        "last_seen": application.last_seen.isoformat(),
        "merged_into": application.merged_into,
        "merged": sorted(member.key for member in members),
        "policy": dict(application.policy),
    }


def changed_policy(before: Application, changes: PolicyChanges, experts: set[str]) -> Json:
    """Return the policy with the changes made; raise BadRequest if it is inconsistent."""
    given = changes.model_dump(exclude_unset=True)
    for field in ("experts_allow", "experts_deny"):
        if unknown := sorted(set(given.get(field) or ()) - experts):
            raise BadRequest(
                f"policy.{field} names experts that are not registered: {', '.join(unknown)}. "
                f"Available: {', '.join(sorted(experts))}",
                f"policy.{field}",
            )
    whole = {n: v for n, v in {**before.policy, **given}.items() if v is not None}
    if "budget_window_s" in whole and "budget_usd" not in whole:
        raise BadRequest("policy.budget_window_s needs policy.budget_usd", "policy.budget_window_s")
    return whole


async def merged(key: str, into: str, recognition: Recognition) -> None:
    """Merge one application into another, or say why not."""
    one, other = await recognition.get(key), await recognition.get(into)
    if OTHER in (_bare(one), _bare(other)):
        raise BadRequest(
            f"'{OTHER}' collects applications too rare to tell apart: it can't be merged"
        )
    if one.tenant != other.tenant:
        raise BadRequest(f"'{key}' and '{into}' belong to different tenants", "into")
    final = _final(other, {a.key: a for a in await recognition.all()})
    if final == key:
        why = "an application can't be merged into itself"
        if into != key:
            why = f"'{into}' is merged into '{key}' already; split it first"
        raise BadRequest(why, "into")
    await recognition.change(key, merged_into=final, pinned=True)


async def parted(key: str, fingerprint: str | None, recognition: Recognition) -> str:
    """Undo a merge, or say why there is none; return the application that is its own again."""
    one = await recognition.get(key)
    if fingerprint is None and one.merged_into is not None:
        fingerprint = key
    members = [a.key for a in await recognition.all() if a.merged_into == key]
    if fingerprint is None or (fingerprint != key and fingerprint not in members):
        held = f"it holds {', '.join(sorted(members))}" if members else "nothing is merged into it"
        if fingerprint is None:
            hint = "; name one as `fingerprint`" if members else ""
            raise BadRequest(f"'{key}' is not merged into another, and {held}{hint}", "fingerprint")
        raise BadRequest(f"'{fingerprint}' is not merged into '{key}': {held}", "fingerprint")
    await recognition.change(fingerprint, merged_into=None, pinned=True)
    return fingerprint


async def _shown(key: str, recognition: Recognition, budgets: Budgets) -> Json:
    found = applications_json(await recognition.all())[key]
    limit = None if found["merged_into"] else budgets.limits.policies().get(key)
    if limit is None:
        return {**found, "spending": None}
    (level,) = await budgets.counts.levels([limit])
    return {**found, "spending": spending_json(limit, level)}


def spending_json(limit: Limit, level: Level) -> Json:
    """Return the dollars spent and left of a budget in its open window."""
    _, ends = span_of(limit, datetime.now(UTC))
    return {
        "budget_usd": limit.shown,
        "spent_usd": (level.used - level.held) / NANO,
        "reserved_usd": level.held / NANO,
        "left_usd": max(limit.amount - level.used, 0) / NANO,
        "window_ends": None if ends is None else ends.isoformat(),
    }


def _final(application: Application, by_key: Mapping[str, Application]) -> str:
    for _ in range(16):
        further = by_key.get(application.merged_into or "")
        if further is None:
            break
        application = further
    return application.key


def _bare(application: Application) -> str:
    return application.key.removeprefix(f"{application.tenant}:")
