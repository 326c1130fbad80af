"""Who calls, and whether they may: keys as bearer tokens, checked on every route."""

from __future__ import annotations

import secrets
from typing import Annotated

from fastapi import Depends, Request
from starlette.requests import HTTPConnection

from collegium.errors import Forbidden, Unauthorized
from collegium.settings import Settings
from collegium.web.parts_of import SettingsDep, parts_of

ADMINISTRATOR = "api_key"


def note_caller(request: HTTPConnection) -> str:
    """Refuse callers without a key, when one is set, and note who calls.

    Without keys a caller is an address: also then one client's burst does not block the others.
    """
    settings, address = parts_of(request).settings, request.client.host if request.client else ""
    caller: str | None = address
    if settings.api_key is not None:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        given = key.strip() if scheme.lower() == "bearer" else ""
        caller = _owner(given, settings)
        if given:
            parts_of(request).wrong_keys.check(caller, address)
        if caller is None:
            raise Unauthorized("Send the API key as `Authorization: Bearer KEY`")
    request.state.caller = caller
    return caller or ""


async def administrate(request: Request, settings: SettingsDep) -> None:
    """Refuse callers whose key is for asking only."""
    if settings.api_key is not None and request.state.caller != ADMINISTRATOR:
        raise Forbidden("This key may ask experts, not change them: use the setting `api_key`")


async def caller_of(request: Request) -> str:
    """Who calls: the key's name, or the address where there are no keys."""
    caller: str = request.state.caller
    return caller


def tenant_of(request: Request) -> str:
    """Whose applications the request may be of: a key's name; "" for the operator and without."""
    caller: str = request.state.caller
    settings = parts_of(request).settings
    return "" if settings.api_key is None or caller == ADMINISTRATOR else caller


async def _tenant(request: Request) -> str:
    return tenant_of(request)


async def scope_of(request: Request) -> str | None:
    """Whose records the request may see; None: all, for the operator and where no keys are set."""
    return tenant_of(request) or None


ScopeDep = Annotated[str | None, Depends(scope_of)]
CallerDep = Annotated[str, Depends(caller_of)]
TenantDep = Annotated[str, Depends(_tenant)]
ADMIN = [Depends(administrate)]


def _owner(key: str, settings: Settings) -> str | None:
    """The name of the key; every key is compared, so that the time taken tells nothing."""
    assert settings.api_key is not None
    named = {ADMINISTRATOR: settings.api_key, **settings.caller_keys}
    owners = [
        name
        for name, secret in named.items()
        if secrets.compare_digest(key.encode(), secret.get_secret_value().encode())
    ]
    return owners[0] if owners else None
