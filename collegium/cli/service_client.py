"""Call the running service of this registry, or use the registry directly if there is none."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, BinaryIO

import httpx

from collegium.errors import CollegiumError, ProbeFailed
from collegium.registry.experts import ExpertRegistry
from collegium.registry.storage.connections import registry_digest
from collegium.registry.storage.database import Database
from collegium.settings import Settings, load_settings

WAIT_S = 600.0
"""An expert with an engine of its own is loaded and probed: 2 to 4 minutes on two busy cores."""


class ServiceClient:
    """The running service's API."""

    def __init__(self, settings: Settings) -> None:
        key = settings.api_key
        headers = {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        self.http = httpx.AsyncClient(
            base_url=f"http://{host}:{settings.port}", headers=headers, timeout=WAIT_S
        )

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        """Call the service and return its JSON; raise its error messages as our own errors."""
        response = await self._asked(method, path, json=body)
        return response.json() if response.content else None

    async def upload(self, path: str, name: str, content: BinaryIO, **fields: str) -> Any:
        """Send a file as a form and return the JSON."""
        file = {"file": (name, content)}
        return (await self._asked("POST", path, data=fields, files=file)).json()

    async def download(self, path: str) -> bytes:
        """Return a file's bytes."""
        return (await self._asked("GET", path)).content

    async def _asked(self, method: str, path: str, **content: Any) -> httpx.Response:
        try:
            response = await self.http.request(method, path, **content)
        except httpx.HTTPError as exc:
            why = str(exc) or type(exc).__name__
            raise ServiceLost(f"lost the connection to the service: {why}") from exc
        except ValueError as exc:  # NaN, which is no JSON; half a surrogate pair
            raise ServiceRefused(f"a value can't be sent as JSON: {exc}") from exc
        if response.is_error:
            raise ServiceRefused(_message(response))
        return response

    async def runs_on(self, where: str) -> bool:
        """Whether a service answers at the settings' address and uses this registry."""
        try:
            answer = (await self.http.get("/healthz", timeout=2.0)).json()
        except (httpx.HTTPError, ValueError):
            return False
        return isinstance(answer, dict) and answer.get("registry") == registry_digest(where)


class ServiceRefused(ProbeFailed):
    """The running service refused a command."""


class ServiceLost(ServiceRefused):
    """The service went away during a command."""


def _message(response: httpx.Response) -> str:
    try:
        return str(response.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"the service answered {response.status_code}"


@asynccontextmanager
async def running_service() -> AsyncGenerator[ServiceClient | None]:
    """The running service of the settings, or None."""
    settings = load_settings()
    client = ServiceClient(settings)
    where = Database(settings.registry_url).where
    async with client.http:
        yield client if await client.runs_on(where) else None


@asynccontextmanager
async def required_service() -> AsyncGenerator[ServiceClient]:
    """The running service of the settings; an error that says how to start it if there is none."""
    async with running_service() as service:
        if service is None:
            settings = load_settings()
            raise CollegiumError(
                f"no service runs at {settings.host}:{settings.port} on this registry; "
                "start it with `collegium serve`"
            )
        yield service


@asynccontextmanager
async def open_database() -> AsyncGenerator[Database]:
    """The database of the settings, brought up to date."""
    database = Database(load_settings().registry_url)
    try:
        await database.migrate()
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def open_registry() -> AsyncGenerator[ExpertRegistry]:
    """The registry of experts, brought up to date."""
    async with open_database() as database:
        yield ExpertRegistry(database)


async def call(method: str, path: str, body: Any = None) -> Any:
    """Ask the running service of the settings once."""
    async with required_service() as service:
        return await service.call(method, path, body)
