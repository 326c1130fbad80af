"""The whole service in this process, on fake experts."""

from __future__ import annotations

import asyncio
import inspect
import shutil
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI
from threadpoolctl import threadpool_limits

from collegium.errors import DatabaseUnavailable
from collegium.registry.expert import Expert
from collegium.registry.experts import ExpertRegistry
from collegium.registry.storage.database import Database
from collegium.router.artifact import FittedRouter
from collegium.router.forecasting import fingerprint
from collegium.router.router import Router
from collegium.router.training import fit_router
from collegium.settings import load_settings
from collegium.web.app import create_app
from collegium.web.serving import service
from collegium.web.serving.build import build
from collegium.web.serving.parts import Parts
from collegium.web.serving.service import Service
from tests.router.synthetic import WordEncoder, measured
from tests.web.fakes import POOL, FakeExperts


@dataclass
class Web:
    """A client of the service, and what is behind it."""

    http: httpx.AsyncClient
    app: FastAPI
    parts: Parts
    experts: FakeExperts

    async def chat(self, text: str = "sql 1", **fields: Any) -> httpx.Response:
        """Ask one question."""
        body = {"messages": [{"role": "user", "content": text}], **fields}
        return await self.http.post("/v1/chat/completions", json=body)

    async def outcome(self, decision: str) -> Any:
        """What was recorded of a decision, when it is written."""
        await self.parts.background.finish()
        return (await self.http.get(f"/v1/decisions/{decision}")).json()["outcome"]

    async def metrics(self, key: str = "none") -> dict[str, float]:
        """What Prometheus reads: values by name and labels, in the order of the labels' names."""
        headers = {"authorization": f"Bearer {key}"}
        lines = (await self.http.get("/metrics", headers=headers)).text.splitlines()
        pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
        return {name: float(value) for name, _, value in pairs}


async def until(true: Callable[[], object], *, timeout_s: float = 90.0) -> None:
    """Return when something is so that other tasks bring about; it may have to be awaited."""
    async with asyncio.timeout(timeout_s):
        while not ((await found) if inspect.isawaitable(found := true()) else found):
            await asyncio.sleep(0.001)


class News(asyncio.Event):
    """Knows whether the worker of bulk jobs waits for it.

    Then it asks the database nothing. SQLite's driver complains of a query that is cancelled
    together with the event loop.
    """

    waits = 0

    async def wait(self) -> Literal[True]:
        """Wait, and count who does."""
        self.waits += 1
        try:
            return await super().wait()
        finally:
            self.waits -= 1


Serve = Callable[..., AbstractAsyncContextManager[Web]]


@pytest.fixture(scope="session")
def fitted() -> FittedRouter:
    """A router that knows the fake experts."""
    outcomes = replace(measured(POOL, each=50), fingerprints=[fingerprint(e) for e in POOL])
    with threadpool_limits(1):  # the fit takes 30 times as long where others use the cores
        return fit_router(outcomes, WordEncoder())


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a service that has registered the fake experts, to be copied."""
    folder = tmp_path_factory.mktemp("data")
    asyncio.run(_register(folder))
    return folder


async def _register(folder: Path) -> None:
    database = Database(load_settings(data_dir=folder).registry_url)
    await database.migrate()
    registry = ExpertRegistry(database)
    for expert in POOL:
        await registry.register(expert)
    await database.close()


async def all_jobs_ended(parts: Parts) -> bool:
    """Whether no bulk job is under way; one that is cut in a thread leaves files open."""
    with suppress(DatabaseUnavailable):  # a test took the table away
        return not await parts.batches.unfinished()
    return True


@asynccontextmanager
async def serving(
    folder: Path,
    router: FittedRouter | None,
    experts: Sequence[Expert] = (),
    app: FastAPI | None = None,
    **settings: Any,
) -> AsyncIterator[Web]:
    """A running service on a data folder; an `app` that was made before gets its parts."""
    fakes = FakeExperts()
    parts = build(load_settings(embedded=False, data_dir=folder, **settings), clients=fakes)
    parts = replace(parts, inbox=replace(parts.inbox, news=(news := News())))
    if router is not None:
        parts.router.put(Router(WordEncoder(), router, parts.speeds, tokens=parts.tokens))
    for expert in experts:
        await parts.registry.register(expert)
    if app is None:
        app = create_app(parts=parts)
    else:
        app.state.parts, app.state.service = parts, Service(parts)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as http,
    ):
        yield Web(http, app, parts, fakes)
        fakes.let_go()
        await until(partial(all_jobs_ended, parts))
        await parts.background.finish()
        await until(lambda: news.waits)


@pytest.fixture(scope="session")
def usual_app(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    """The application with the usual settings: to make its routes takes as long as a test."""
    return create_app(load_settings(embedded=False, data_dir=tmp_path_factory.mktemp("app")))


@pytest.fixture(scope="session", autouse=True)
def _collector() -> Iterator[None]:
    """A service that starts spares Python's collector, which is for one service a process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service, "_spare_collector", lambda: None)
        yield


@pytest.fixture
def serve(tmp_path: Path, fitted: FittedRouter, data_dir: Path, usual_app: FastAPI) -> Serve:
    """Make a service from settings; one that is not `ready` loads the router that they name.

    `experts` are known beside the usual ones.
    """

    def start(
        *, ready: bool = True, experts: Sequence[Expert] = (), **settings: Any
    ) -> AbstractAsyncContextManager[Web]:
        shutil.copytree(data_dir, tmp_path, dirs_exist_ok=True)
        app = None if settings else usual_app
        return serving(tmp_path, fitted if ready else None, experts, app, **settings)

    return start


@pytest.fixture
async def web(serve: Serve) -> AsyncIterator[Web]:
    """A service with the usual settings."""
    async with serve() as web:
        yield web


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared(
    tmp_path_factory: pytest.TempPathFactory, fitted: FittedRouter, data_dir: Path
) -> AsyncIterator[Web]:
    """A service for requests that change nothing; to start one takes longer than they do.

    Its tests are marked with `on_shared`.
    """
    folder = tmp_path_factory.mktemp("shared")
    shutil.copytree(data_dir, folder, dirs_exist_ok=True)
    async with serving(folder, fitted) as web:
        yield web


on_shared = pytest.mark.asyncio(loop_scope="session")
