"""/v1/keys and /v1/teams: who may call, with which role, and which experts may answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, NoReturn

from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from collegium.errors import BadRequest, Forbidden, KeyConflict, KeyNotFound, TeamNotFound
from collegium.experts.clients.events import Json
from collegium.registry.key import Caller, Key, KeyState, Role, Team
from collegium.registry.keys import LONGEST_TEXT, MOST_NAMES
from collegium.registry.storage.pages import Scope, within
from collegium.registry.tables import to_columns
from collegium.web.auth import ADMIN, MANAGERS, CallerDep, ScopeDep, sees_all
from collegium.web.json_in import CheckedRoute
from collegium.web.parts_of import PartsDep
from collegium.web.routes.files import page_json
from collegium.web.serving.parts import Parts

routes = APIRouter(route_class=CheckedRoute)
BY_LEADS = ("caller", "read-only")
"""The roles of keys that a team lead makes and changes."""
HIDDEN = ("hash", "former_hash", "former_until")
LONGEST_LIFE = timedelta(days=36_525)
LONGEST_OVERLAP_S = 30 * 86_400.0
Name = Annotated[str, Field(min_length=1, max_length=200)]
Names = Annotated[list[Name], Field(max_length=MOST_NAMES)]
Text = Annotated[str, Field(max_length=LONGEST_TEXT)]


class KeyChanges(BaseModel):
    """The fields of a key that may be changed; null removes a limit, omitted fields stay."""

    model_config = ConfigDict(extra="forbid")

    role: Role = "caller"
    description: Text = ""
    allowed_experts: Names | None = None
    allowed_applications: Names | None = None
    expires_at: AwareDatetime | None = None


class NewKey(KeyChanges):
    """A key to make."""

    name: Name
    team: Name | None = None


class Rotation(BaseModel):
    """How long the previous secret stays valid."""

    model_config = ConfigDict(extra="forbid")

    overlap_s: Annotated[float, Field(ge=0, le=LONGEST_OVERLAP_S, allow_inf_nan=False)] = 0.0


class TeamChanges(BaseModel):
    """The fields of a team that may be changed; null removes a limit, omitted fields stay."""

    model_config = ConfigDict(extra="forbid")

    description: Text = ""
    allowed_experts: Names | None = None
    allowed_applications: Names | None = None


class NewTeam(TeamChanges):
    """A team to make."""

    name: Name


@routes.get("/v1/caller")
async def who_calls(caller: CallerDep) -> Json:
    """Return the name, role and limits of the key that was sent."""
    return {"object": "caller", **_listed(to_columns(caller))}


@routes.get("/v1/keys")
async def keys(
    parts: PartsDep,
    scope: ScopeDep,
    state: Annotated[KeyState | None, Query()] = None,
    team: Annotated[str | None, Query(max_length=64)] = None,
    after: Annotated[str | None, Query(max_length=64)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Json:
    """Return one page of the keys that the caller may see, oldest first, without secrets."""
    if after is not None:
        await _seen(parts, after, scope)
    page = await parts.keys.list(scope=scope, state=state, team=team, after=after, limit=limit)
    return page_json(page.map(key_json))


@routes.post("/v1/keys", status_code=201, dependencies=MANAGERS)
async def create(body: NewKey, parts: PartsDep, caller: CallerDep) -> Json:
    """Create a key. Its secret is in the response's `key`, only once."""
    if parts.settings.api_key is None:
        raise KeyConflict(
            "keys need the setting api_key: without it whoever reaches the service may do "
            "everything. Set it, and start the service again"
        )
    given = {"name", *KeyChanges.model_fields, "team"}
    described = await _described(parts, body, given, caller)
    if caller.role != "operator":
        described["team"] = _of_lead(caller, body.role, described["team"])
    with _told_nothing_of_others(parts, body.name, caller):
        if parts.callers.is_taken(body.name):
            raise KeyConflict(
                f"'{body.name}' is already a caller in the setting caller_keys: choose another name"
            )
        key, secret = await parts.keys.create(**described, created_by=caller.name)
    await parts.callers.follow()
    return {**key_json(key), "key": secret.text}


@routes.get("/v1/keys/{key}")
async def key(key: str, parts: PartsDep, scope: ScopeDep) -> Json:
    """Return one key, by its id or by the name that it currently has."""
    return key_json(await _seen(parts, key, scope))


@routes.patch("/v1/keys/{key}", dependencies=MANAGERS)
async def change(
    key: str, body: KeyChanges, parts: PartsDep, caller: CallerDep, scope: ScopeDep
) -> Json:
    """Change a key's rights or its expiry; this applies from the next request on."""
    found = await _managed(parts, key, caller, scope)
    if "role" in body.model_fields_set and caller.role != "operator":
        _of_lead(caller, body.role, found.team)
    changes = await _described(parts, body, body.model_fields_set, caller)
    changed = await parts.keys.change(found.id, **changes)
    await parts.callers.follow()
    return key_json(changed)


@routes.post("/v1/keys/{key}/rotate", dependencies=MANAGERS)
async def rotate(
    key: str, body: Rotation, parts: PartsDep, caller: CallerDep, scope: ScopeDep
) -> Json:
    """Give a key a new secret, which is in the response's `key`, only once."""
    found = await _seen(parts, key, scope)
    if found.id != caller.key_id:  # a team lead's own key may be rotated, too
        found = await _managed(parts, key, caller, scope)
    rotated, secret = await parts.keys.rotate(found.id, timedelta(seconds=body.overlap_s))
    await parts.callers.follow()
    return {**key_json(rotated), "key": secret.text}


@routes.post("/v1/keys/{key}/revoke", dependencies=MANAGERS)
async def revoke(key: str, parts: PartsDep, caller: CallerDep, scope: ScopeDep) -> Json:
    """Revoke a key permanently. Its rows are kept."""
    found = await _managed(parts, key, caller, scope)
    revoked = await parts.keys.revoke(found.id)
    await parts.callers.follow()
    return key_json(revoked)


@routes.get("/v1/teams")
async def teams(parts: PartsDep, caller: CallerDep) -> Json:
    """The teams that the caller may see: operators all, others their own."""
    found = await parts.keys.teams()
    shown = [team_json(t) for t in found if sees_all(caller) or t.name == caller.team]
    return {"object": "list", "data": shown}


@routes.get("/v1/teams/{team}")
async def team(team: str, parts: PartsDep, caller: CallerDep) -> Json:
    """Return one team."""
    if not sees_all(caller) and team != caller.team:
        raise TeamNotFound(f"there is no team '{team}'")
    return team_json(await parts.keys.team(team))


@routes.post("/v1/teams", status_code=201, dependencies=ADMIN)
async def create_team(body: NewTeam, parts: PartsDep, caller: CallerDep) -> Json:
    """Create a team."""
    given = {"name", *TeamChanges.model_fields}
    made = Team(**await _described(parts, body, given, caller))
    await parts.keys.create_team(made)
    await parts.callers.follow()
    return team_json(made)


@routes.patch("/v1/teams/{team}", dependencies=ADMIN)
async def change_team(team: str, body: TeamChanges, parts: PartsDep, caller: CallerDep) -> Json:
    """Change what a team's keys may reach; this applies from the next request on."""
    changes = await _described(parts, body, body.model_fields_set, caller)
    changed = await parts.keys.change_team(team, **changes)
    await parts.callers.follow()
    return team_json(changed)


@routes.delete("/v1/teams/{team}", status_code=204, dependencies=ADMIN)
async def remove_team(team: str, parts: PartsDep) -> Response:
    """Forget a team that never had keys."""
    await parts.keys.remove_team(team)
    await parts.callers.follow()
    return Response(status_code=204)


def key_json(key: Key) -> Json:
    """A key as the API shows it: neither its secret nor the hash of one."""
    now = datetime.now(UTC)
    shown = {name: v for name, v in to_columns(key).items() if name not in HIDDEN}
    overlaps = key.former_until is not None and now < key.former_until
    former = key.former_until if overlaps and key.revoked_at is None else None
    return {"object": "key", "state": key.state(now), **_listed(shown), "former_until": former}


def team_json(team: Team) -> Json:
    """A team as the API shows it."""
    return {"object": "team", **_listed(to_columns(team))}


def _listed(shown: Mapping[str, Any]) -> Json:
    return {n: sorted(v) if isinstance(v, frozenset) else v for n, v in shown.items()}


async def _seen(parts: Parts, key: str, scope: Scope) -> Key:
    found = await parts.keys.get(key)
    if not within(scope, found.name):
        raise KeyNotFound(f"no key has the name or id '{key}'")
    return found


async def _managed(parts: Parts, key: str, caller: Caller, scope: Scope) -> Key:
    """A key that the caller may change: any for operators, for team leads those they may make."""
    found = await _seen(parts, key, scope)
    if caller.role != "operator":
        _of_lead(caller, found.role, found.team)
    return found


@contextmanager
def _told_nothing_of_others(parts: Parts, name: str, caller: Caller) -> Iterator[None]:
    """Why a name is taken is for operators, and for the team whose key bears or bore it."""
    try:
        yield
    except KeyConflict as exc:
        own = caller.team is not None and name in parts.callers.members(caller.team)
        if caller.role == "operator" or own:
            raise
        raise KeyConflict(
            f"The name '{name}' can't be used: choose another, such as '{caller.team}-{name}'"
        ) from exc


def _of_lead(caller: Caller, role: Role, team: str | None) -> str | None:
    """Return the team of a key that a team lead creates or changes; raise Forbidden if it isn't the
    lead's.
    """
    if role not in BY_LEADS:
        _refuse(caller, f"it may change keys of the roles {' and '.join(BY_LEADS)} only")
    if team not in (None, caller.team):
        _refuse(caller, f"it may change keys of its own team '{caller.team}' only")
    return caller.team


def _refuse(caller: Caller, why: str) -> NoReturn:
    raise Forbidden(f"This key has the role {caller.role}: {why}")


async def _described(
    parts: Parts, body: KeyChanges | TeamChanges, given: set[str], caller: Caller
) -> dict[str, Any]:
    """The fields that are given, checked, as the registry takes them.

    Experts that the caller may not ask are unknown to it, so nothing is told of them.
    """
    described = {name: getattr(body, name) for name in given}
    if described.get("allowed_experts") is not None:
        registered = [expert.name for expert in await parts.registry.list()]
        known = {name for name in registered if sees_all(caller) or caller.permits(name)}
        if unknown := sorted(set(described["allowed_experts"]) - known):
            raise BadRequest(
                f"allowed_experts names experts that are not registered: {', '.join(unknown)}. "
                f"Available: {', '.join(sorted(known))}",
                "allowed_experts",
            )
    for name in ("allowed_experts", "allowed_applications"):
        if described.get(name) is not None:
            described[name] = frozenset(described[name])
    if (ends := described.get("expires_at")) is not None:
        described["expires_at"] = _end(ends)
    return described


def _end(ends: datetime) -> datetime:
    now = datetime.now(UTC)
    if not now < ends <= now + LONGEST_LIFE:
        raise BadRequest("expires_at must lie in the future, within 100 years", "expires_at")
    return ends.astimezone(UTC)
