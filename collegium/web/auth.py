"""Authentication and roles on every route: keys as bearer tokens or `x-api-key`."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query, Request
from starlette.requests import HTTPConnection

from collegium.errors import Forbidden, Unauthorized
from collegium.registry.key import Caller
from collegium.registry.storage.pages import Scope, within
from collegium.web.parts_of import parts_of

READING = ("GET", "HEAD", "OPTIONS")
MISSING = "Send the API key as `Authorization: Bearer KEY`, or as `x-api-key: KEY`"
WRONG = (
    "The API key is not valid for this service: check KEY in `Authorization: Bearer KEY` "
    "or `x-api-key: KEY`"
)


def note_caller(request: HTTPConnection) -> Caller:
    """Refuse callers without a key, when one is set, and note who calls as `state.caller`.

    Without keys a caller is an address: also then one client's burst does not block the others.
    """
    parts, address = parts_of(request), request.client.host if request.client else ""
    if parts.settings.api_key is None:
        caller = Caller(address, role="operator")
    else:
        given = _keys(request)
        found = next((c for key in given if (c := parts.callers.of(key)) is not None), None)
        if given:
            parts.wrong_keys.check(None if found is None else found.name, address)
        if found is None:
            ended = next((why for key in given if (why := parts.callers.ended(key))), None)
            raise Unauthorized(ended or WRONG if given else MISSING)
        caller = found
    request.state.caller = caller
    if caller.role == "read-only" and request.scope["method"] not in READING:
        raise Forbidden("This key has the role read-only: it may only send GET requests")
    return caller


async def administrate(request: Request) -> None:
    """Refuse all but operators; a read-only key without a team may read what operators read."""
    caller = await caller_of(request)  # a read-only key got no further than reading
    if sees_all(caller):
        return
    raise Forbidden(
        f"This key has the role {caller.role}: only an operator's key, such as the setting "
        "`api_key`, may do that"
    )


async def manage(request: Request) -> None:
    """Refuse who is neither an operator nor a team lead."""
    caller = await caller_of(request)
    if caller.role not in ("operator", "team-lead"):
        raise Forbidden(
            f"This key has the role {caller.role}: only an operator's or a team lead's key may do "
            "that"
        )


async def caller_of(request: Request) -> Caller:
    """Return the caller of the request."""
    caller: Caller = request.state.caller
    return caller


def owner_of(request: Request) -> str:
    """Return the owner of the rows that the request creates, and the tenant of its applications."""
    caller: Caller = request.state.caller
    return caller.owner


async def scope_of(request: Request) -> Scope:
    """Return the owners whose rows the request may see and delete; None for all owners."""
    caller: Caller = request.state.caller
    if sees_all(caller):
        return None
    if caller.role == "caller" or caller.team is None:
        return frozenset({caller.owner})
    return parts_of(request).callers.members(caller.team)


def narrowed(scope: Scope, owner: str | None) -> Scope:
    """Return the part of a scope that is one owner's; raise Forbidden if that is outside it."""
    if owner is None:
        return scope
    if not within(scope, owner):
        raise Forbidden("This key can't see what that owner has: leave `owner` out")
    return frozenset({owner})


def own_scope(request: Request) -> Scope:
    """The owners whose rows the request may go on from: its own alone, but for operators."""
    caller: Caller = request.state.caller
    return None if caller.role == "operator" else frozenset({caller.owner})


def sees_all(caller: Caller) -> bool:
    """Whether a caller sees what operators see: a read-only key of no team does."""
    return caller.role == "operator" or (caller.role == "read-only" and caller.team is None)


async def _owner(request: Request) -> str:
    return owner_of(request)


ScopeDep = Annotated[Scope, Depends(scope_of)]
CallerDep = Annotated[Caller, Depends(caller_of)]
OwnerDep = Annotated[str, Depends(_owner)]
OwnerFilter = Annotated[str | None, Query(max_length=64)]
"""Whose rows a list shows, for those who see more than their own."""
ADMIN = [Depends(administrate)]
MANAGERS = [Depends(manage)]


def _keys(request: HTTPConnection) -> list[str]:
    """The keys that a request gives: as a bearer token, and as Anthropic's clients send it."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    bearer = token.strip() if scheme.lower() == "bearer" else ""
    return [key for key in (bearer, request.headers.get("x-api-key", "").strip()) if key]
