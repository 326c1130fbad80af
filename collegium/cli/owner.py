"""The process that owns a service with several workers: engines, learning, bulk jobs, state."""

from __future__ import annotations

import os
import secrets
import socket
from dataclasses import replace
from typing import TYPE_CHECKING

import uvicorn

from collegium.cli import serving
from collegium.errors import SettingsError
from collegium.registry.storage.database import Database
from collegium.settings import Settings
from collegium.web.app import create_app
from collegium.web.serving.build import build
from collegium.web.serving.service import Service
from collegium.web.serving.shared import Shared, open_shared
from collegium.web.workers.crew import Crew
from collegium.web.workers.forwarding import Forwarded
from collegium.web.workers.members import Members

if TYPE_CHECKING:
    from starlette.types import ASGIApp


class Owner:
    """The owner's parts and its workers."""

    def __init__(self, settings: Settings, listener: socket.socket) -> None:
        self._members: Members | None = None
        if settings.ray_address is not None:
            raise SettingsError(
                f"workers={settings.workers}: several workers can't share engines on Ray; start "
                "several services, or set workers = 1"
            )
        self.parts = build(settings, share=self._share)
        if self.parts.fleet.residents is not None:
            raise SettingsError(
                f"workers={settings.workers}: several workers can't share engines that take turns "
                "(with engine_memory_gib, or on GPUs); set workers = 1"
            )
        assert self._members is not None
        self.crew: Crew = Crew(self.parts, self._members, listener)
        self.service: Service = Service(self.parts, crew=self.crew)
        app = create_app(parts=self.parts, service=self.service)
        self.app: ASGIApp = Forwarded(app, self.crew.calls.tell)

    async def serve(self, server: uvicorn.Server) -> None:
        """Serve until a signal arrives and the workers have ended."""
        here = socket.socket(socket.AF_UNIX)
        here.bind(str(self.crew.http_socket))
        os.chmod(self.crew.http_socket, 0o600)
        drain_s = self.parts.settings.drain_timeout_s
        await serving.serve(
            server, [here], self.parts.draining, drain_s, at_signal=self.crew.terminate
        )

    def _share(self, settings: Settings, database: Database) -> Shared:
        shared = replace(open_shared(settings, database), engines_of=secrets.token_hex(8))
        self._members = Members(shared.counters)
        if settings.redis_url is not None:
            return shared
        return replace(shared, counters=self._members.of("owner"), several=True)
