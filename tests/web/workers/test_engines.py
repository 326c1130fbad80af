"""Workers and their owner's engines, which are stubs: asked, followed, and shared slot by slot."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from collegium.errors import ExpertBusy
from collegium.experts.clients.reply import Call
from collegium.experts.dispatch.dispatcher import Dispatcher
from collegium.experts.dispatch.terms import Terms
from collegium.experts.fleet import Fleet
from collegium.experts.pool import Pool
from collegium.registry.expert import Expert
from collegium.registry.state import MemoryState, SharedState
from collegium.web.workers.engines import AskedEngines, FollowedFleet
from collegium.web.workers.link import Link
from tests.experts.engines import StubEngine, spec_of, stub_engine, until

BASE = Expert("base", "engine", "base", engine="stub")
BODY = {"messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[StubEngine]:
    """The owner's engine, which answers one request at a time."""
    spec = spec_of("stub", tmp_path, max_sequences=1)
    async with stub_engine(tmp_path, spec=spec) as engine:
        await engine.ready()
        yield engine


class Service:
    """An owner with workers, each in this process, but with a socket between them."""

    def __init__(self, engine: StubEngine, state: SharedState, name: str) -> None:
        self.asked = AskedEngines(Fleet(lambda spec: engine.supervisor, Path(), engine.supervisor))
        self._state = state
        self._name = name
        self._socket = str(engine.folder / f"{name}-state")

    async def start(self, stack: AsyncExitStack) -> None:
        """Listen for workers."""
        loop = asyncio.get_running_loop()
        server = await loop.create_unix_server(
            lambda: Link(self._answer, lambda: None), self._socket
        )
        stack.callback(server.close)

    async def worker(self, stack: AsyncExitStack) -> tuple[FollowedFleet, Pool]:
        """One more worker, as `collegium.cli.worker` builds it."""
        link = Link(self._answer, lambda: None)
        await asyncio.get_running_loop().create_unix_connection(lambda: link, self._socket)
        stack.callback(link.close)
        fleet = FollowedFleet(link)
        await fleet.look()
        dispatcher = Dispatcher(self._state, patience_s=10.0)
        pool = Pool(fleet, timeout_s=10.0, dispatcher=dispatcher, engines_of=self._name)
        stack.push_async_callback(pool.aclose)
        return fleet, pool

    async def _answer(self, name: str, arguments: Sequence[Any]) -> Any:
        assert name == "engines"
        return self.asked.look("a worker", arguments[0])


@asynccontextmanager
async def workers(engine: StubEngine, *services: str) -> AsyncIterator[list[Any]]:
    """Fleets and pools of workers, one for each name; the services share a Redis, so to speak."""
    state, known = MemoryState(), dict[str, Service]()
    async with AsyncExitStack() as stack:
        for name in dict.fromkeys(services):
            known[name] = Service(engine, state, name)
            await known[name].start(stack)
        yield [await known[name].worker(stack) for name in services]


async def said(pool: Pool) -> str:
    """What the engine answers."""
    async with pool.ask(Call(BASE, BODY)) as reply:
        return (await reply.whole()).text


async def test_a_worker_follows_an_engine_across_its_restart(engine: StubEngine) -> None:
    """It asks the process that runs now, with the secret of the owner."""
    async with workers(engine, "ours") as [(fleet, pool)]:
        first = engine.supervisor.status.pid
        assert await said(pool) == f"I am {first}"
        os.kill(first or 0, 9)
        await engine.ready(2)
        await fleet.look()
        assert await said(pool) == f"I am {engine.supervisor.status.pid}"
        assert engine.supervisor.status.pid != first


async def test_an_engine_that_is_to_stop_waits_for_the_workers_requests(engine: StubEngine) -> None:
    """Also for those of which the owner was not told yet; the worker sends no more of them."""
    engine.let("frozen")
    async with workers(engine, "ours") as [(fleet, pool)]:
        asked = asyncio.create_task(said(pool))
        await until(lambda: fleet["stub"].in_flight == 1)
        draining = asyncio.create_task(engine.supervisor.drain(30.0))
        await asyncio.sleep(0.2)
        await fleet.look()
        assert fleet["stub"].draining
        engine.no_longer("frozen")
        assert (await asked).startswith("I am")
        await fleet.look()
        await draining


async def test_workers_of_a_service_share_an_engines_slots(engine: StubEngine) -> None:
    """Those of another service have an engine of their own, although its name is the same."""
    async with workers(engine, "ours", "ours", "theirs") as found:
        one, other, elsewhere = (pool for _, pool in found)
        soon = Terms(deadline=time.monotonic() + 0.3)
        async with one.ask(Call(BASE, BODY)):
            with pytest.raises(ExpertBusy, match="all 1 slots"):
                await asked(other, soon)
            await asked(elsewhere, Terms(deadline=time.monotonic() + 10))
        assert one.dispatcher.busy() == {"stub": 0}
        await asked(other, Terms(deadline=time.monotonic() + 10))


async def asked(pool: Pool, terms: Terms) -> None:
    """Ask in time, or not at all."""
    async with pool.ask(Call(BASE, BODY), terms):
        pass
