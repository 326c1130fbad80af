"""One worker of a service with several (`collegium serve --workers`); the owner starts it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import uvicorn

from collegium.cli import serving
from collegium.errors import StateUnavailable
from collegium.settings import Settings, load_settings
from collegium.web.app import create_app
from collegium.web.serving.build import build
from collegium.web.serving.parts import Parts
from collegium.web.serving.service import Service
from collegium.web.serving.shared import Shared, open_shared
from collegium.web.workers.accepting import Accepting, Board
from collegium.web.workers.counts import snapshot
from collegium.web.workers.engines import EVERY_S, FollowedFleet
from collegium.web.workers.given import Given
from collegium.web.workers.link import Link
from collegium.web.workers.remote import RemoteAnswers, RemoteCounters, RemoteState

POLL_S = 0.05


def main() -> None:
    """Answer requests until the owner says that it is enough, or is gone."""
    given = msgspec.json.decode(sys.argv[1], type=Given)
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_Worker(given).run())


class _Worker:
    def __init__(self, given: Given) -> None:
        self._given = given
        self._settings = settings_of(given)
        self._parts: Parts | None = None
        self._service: Service | None = None
        self._ending = False
        self._link = Link(self._handle, self._lost)
        self._fleet = FollowedFleet(self._link)

    async def run(self) -> None:
        serving.give_back_large_blocks()
        serving.log_to_stderr(self._settings.log_format)
        loop, given = asyncio.get_running_loop(), self._given
        await loop.create_unix_connection(lambda: self._link, given.socket)
        await self._link.call("hello")
        await self._fleet.look()
        self._parts = parts = build(self._settings, share=self._share, fleet=self._fleet)
        self._service = Service(parts, owns=False)
        app = create_app(parts=parts, service=self._service, forward_to=given.http)
        server = serving.make_server(app, parts.settings)
        following = asyncio.create_task(self._follow(server), name="worker")
        try:
            await serving.serve(server, [], parts.draining, parts.settings.drain_timeout_s)
        finally:
            self._ending = True
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            self._link.close()

    async def _follow(self, server: uvicorn.Server) -> None:
        """Accept connections, at the first start at once, else when they can be answered.

        Tell the owner when this worker is ready, and follow its engines.
        """
        assert self._service is not None
        while not server.started or (self._given.again and self._service.waits_for()):
            await asyncio.sleep(POLL_S)
            await self._fleet.look()
        accepting = Accepting(
            socket.socket(fileno=self._given.listener),
            lambda: server.config.http_protocol_class(  # type: ignore[call-arg]
                config=server.config,
                server_state=server.server_state,
                app_state=server.lifespan.state,
            ),
            lambda: len(server.server_state.connections),
            Board(Path(self._given.board), self._settings.workers),
            self._given.number,
        )
        accepting.start()
        try:
            told = False
            while not server.should_exit:
                accepting.note()
                await self._fleet.look()
                if not told and self._service.waits_for() is None:
                    await self._link.call("ready")
                    told = True
                await asyncio.sleep(EVERY_S if told else POLL_S)
        except StateUnavailable:
            self._lost()
        finally:
            accepting.close()

    async def _handle(self, name: str, arguments: Sequence[Any]) -> Any:
        if self._service is None or self._parts is None:
            raise StateUnavailable("this worker has not started yet")
        if name == "look":
            return await self._look(self._parts, arguments[0])
        await self._service.measure()
        return snapshot(self._service.parts.metrics.registry)

    async def _look(self, parts: Parts, path: str) -> None:
        """Take over what a request to this path may have changed."""
        part = path.removeprefix("/v1/").partition("/")[0]
        looks = {
            "keys": parts.callers.follow,
            "teams": parts.callers.follow,
            "budgets": parts.budgets.read,
            "applications": parts.recognition.read,
            "router": parts.router_follower.follow,
            "feedback": parts.learning.look,
            "engines": self._fleet.look,
        }
        if part == "experts":  # one may have brought its engine; another's adapter is unloaded
            await self._fleet.look()
            await parts.catalogue.follow()
        elif part in looks:
            await looks[part]()

    def _share(self, settings: Settings, database: Any) -> Shared:
        if settings.redis_url is not None:
            shared = open_shared(settings, database)
            return replace(shared, engines_of=self._given.service)
        link = self._link
        return Shared(
            state=RemoteState(link, "state"),
            trials=RemoteState(link, "trials"),
            counters=RemoteCounters(link),
            answers=None if settings.response_cache == "off" else RemoteAnswers(link),
            several=True,
            engines_of=self._given.service,
        )

    def _lost(self) -> None:
        """Without its owner a worker finishes its answers and ends."""
        if not self._ending:
            self._ending = True
            os.kill(os.getpid(), signal.SIGTERM)


def settings_of(given: Given) -> Settings:
    """The settings of the service as one worker has them."""
    settings = load_settings(**given.settings)
    part = max(10, -(-settings.max_connections // settings.workers))
    return settings.model_copy(update={"embedded": False, "max_connections": part})


if __name__ == "__main__":
    main()
