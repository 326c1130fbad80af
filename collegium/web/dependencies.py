"""What handlers ask for: the service, and a caller who may use it."""

from __future__ import annotations

import secrets
from typing import Annotated

from fastapi import Depends, Request

from collegium.errors import Unauthorized
from collegium.web.service import Service


def service_of(request: Request) -> Service:
    """The service that the application was made with."""
    service: Service = request.app.state.service
    return service


ServiceDep = Annotated[Service, Depends(service_of)]


def authenticate(request: Request, service: ServiceDep) -> None:
    """Refuse callers without the API key, when one is set."""
    expected = service.settings.api_key
    if expected is None:
        return
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    wanted = expected.get_secret_value().encode()
    if scheme.lower() != "bearer" or not secrets.compare_digest(key.strip().encode(), wanted):
        raise Unauthorized("Send the API key as `Authorization: Bearer KEY`")
