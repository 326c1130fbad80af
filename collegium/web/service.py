"""The running service: its parts, how they start and how they end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from collegium.errors import CollegiumError, ExpertUnavailable, StateUnavailable
from collegium.experts.configured import configured_fleet
from collegium.experts.dispatch.dispatcher import Dispatcher
from collegium.experts.embedded import ensure_base_model
from collegium.experts.pool import Pool
from collegium.experts.registration import Registration
from collegium.experts.roster import ENGINE, embedded_experts
from collegium.experts.sparse.engine import SPARSE_ENGINE, lacking_memory, mixture
from collegium.experts.sparse.model import ensure_sparse_model
from collegium.registry.batches import BatchRegistry
from collegium.registry.database import Database
from collegium.registry.decisions import DecisionLog
from collegium.registry.engines import EngineRegistry
from collegium.registry.expert import Expert
from collegium.registry.experts import ExpertRegistry
from collegium.registry.file_store import FileStore
from collegium.registry.files import FileRegistry
from collegium.registry.state import open_state
from collegium.router.artifact import BUNDLED, load
from collegium.router.costs import Speeds
from collegium.router.online.learner import Learner
from collegium.router.panels.profiles import Profiles
from collegium.router.recall import recorded
from collegium.router.router import Router
from collegium.settings import Settings
from collegium.web.metrics import Metrics

log = logging.getLogger(__name__)
KEEP_EVERY = 20
"""Ratings between two writes of what online learning learnt: so many a crash may lose."""
REMEMBERED = 1000
"""So many of the last decisions tell at the start how fast the experts are."""


class Service:
    """All parts of one process. `open` returns soon; what takes long goes on in the background."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.database = Database(settings.registry_url)
        self.registry = ExpertRegistry(self.database)
        self.log = DecisionLog(self.database)
        self.files = FileRegistry(self.database)
        self.file_store = FileStore(settings.data_dir / "files")
        self.batches = BatchRegistry(self.database)
        self.bulk_folder = settings.data_dir / "batches"
        self.bulk_news = asyncio.Event()
        redis = settings.redis_url
        self.state = open_state(redis.get_secret_value() if redis else None)
        self.metrics = Metrics()
        self.speeds = Speeds(settings.device_watts)
        self.engine_registry = EngineRegistry(self.database)
        self.engines = configured_fleet(settings)
        self.pool = self._make_pool()
        self.profiles = Profiles.load(settings.router_dir or BUNDLED)
        self.registration = Registration(
            self.registry, self.pool, self.engines, self.engine_registry
        )
        self.learner: Learner | None = None
        self.progress = "starting"
        self.failure: CollegiumError | None = None
        self._router: Router | None = None
        self._following = asyncio.Lock()
        self._experts: tuple[int, tuple[Expert, ...]] = (-1, ())
        self._tasks: set[asyncio.Task[Any]] = set()

    async def open(self) -> None:
        """Bring the database up to date, then start the engine and load the router beside it."""
        await self.database.migrate()
        if self.settings.embedded:
            await self.registry.seed(ENGINE, embedded_experts(self.settings.engine_context))
        if SPARSE_ENGINE in self.engines:
            await self.registry.seed(SPARSE_ENGINE, [mixture(self.settings.engine_context)])
        self.spawn(self._start(), name="start")
        self.spawn(self._follow(), name="follow")

    async def close(self) -> None:
        """Start nothing more, stop the engines, finish what is being written, let go."""
        for task in self._tasks:
            if task.get_name() in ("start", "follow"):
                task.cancel()
        await self.engines.stop()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.learner and self.learner.ratings:
            self.learner.save(self._learnt)
        await self.pool.aclose()
        await self.state.close()
        await self.log.aclose()
        await self.database.close()

    def spawn(self, work: Coroutine[Any, Any, Any], name: str | None = None) -> None:
        """Run something to its end even if the request that began it is gone."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    @property
    def router(self) -> Router:
        """The router; ExpertUnavailable until it is loaded."""
        if self.failure is not None:
            raise self.failure
        if self._router is None:
            raise ExpertUnavailable("router", f"not ready yet: {self.progress}", retry_after_s=5)
        return self._router

    async def routable(self) -> None:
        """Return when the router is loaded."""
        while self._router is None:
            if self.failure is not None:
                raise self.failure
            await asyncio.sleep(0.2)

    def not_ready(self) -> str | None:
        """Why the service can't answer now, in words; None when it can."""
        if self.failure is not None:
            return str(self.failure)
        if self._router is None:
            return self.progress
        embedded = self.engines.get(ENGINE)  # others' failures are their own experts' alone
        if embedded is None or embedded.status.state == "ready":
            return None
        return f"engine {ENGINE}: {embedded.status.detail}"

    async def experts(self) -> tuple[Expert, ...]:
        """All registered experts, read again whenever one changed."""
        revision = await self.registry.revision()
        if revision != self._experts[0]:
            self._experts = (revision, await self.registry.list())
            self.spawn(self._follow(), name="follow")
        return self._experts[1]

    async def session_expert(self, session: str | None) -> str | None:
        """Who answered last in this conversation; None when nobody knows."""
        if session is None:
            return None
        try:
            return await self.state.get(f"session:{session}")
        except StateUnavailable as exc:
            log.warning("sessions are not kept: %s", exc)
            return None

    async def keep_session(self, session: str | None, expert: str) -> None:
        """Remember who answered in this conversation."""
        if session is not None:
            with contextlib.suppress(StateUnavailable):  # session_expert has warned
                await self.state.put(f"session:{session}", expert, self.settings.session_ttl_s)

    def _make_pool(self) -> Pool:
        settings = self.settings
        timeout_s = settings.request_timeout_s
        shared = self.state if settings.redis_url else None
        return Pool(
            self.engines,
            timeout_s=timeout_s,
            first_token_timeout_s=settings.first_token_timeout_s,
            remote_concurrency=settings.remote_concurrency,
            dispatcher=Dispatcher(shared, depth=settings.queue_depth, patience_s=timeout_s),
            residents=self.engines.residents,
        )

    async def _follow(self) -> None:
        """Run the engines and keep the adapters that the registry knows, and no others."""
        async with self._following:
            await self.engines.follow(await self.engine_registry.list())
            await self.pool.follow(await self.registry.list())

    async def _start(self) -> None:
        try:
            await asyncio.gather(self._start_engine(), self._load_router())
        except CollegiumError as exc:
            self.failure = exc
            log.error("the service can't start: %s", exc)

    async def _start_engine(self) -> None:
        if ENGINE in self.engines:
            await asyncio.to_thread(ensure_base_model, self.settings.cache_dir, self._tell)
            await self.engines[ENGINE].start()
        if SPARSE_ENGINE in self.engines:
            self.spawn(self._start_sparse_engine(), name="start")

    async def _start_sparse_engine(self) -> None:
        """Take the cores only when the first engine no longer needs them to start.

        Where engines take turns it is one of them, and need not fit beside the others.
        """
        await self.engines[ENGINE].wait_ready()
        engine = self.engines[SPARSE_ENGINE]
        try:
            why_not = lacking_memory() if self.engines.residents is None else None
            if why_not is None:
                await asyncio.to_thread(ensure_sparse_model, self.settings.cache_dir, log.info)
                await self.engines.run(engine)
        except (CollegiumError, OSError) as exc:
            why_not = f"its engine can't be run: {exc}"
        if why_not is not None:
            log.warning("the sparse mixture is not served: %s", why_not)
            await engine.decline(why_not)

    async def _load_router(self) -> None:
        past = await self.log.recent(REMEMBERED)
        turns = self.engines.residents is not None
        self.speeds.recall(recorded(past, await self.experts(), turns=turns))
        self._router = await asyncio.to_thread(self._loaded_router)
        _spare_collector()

    def _loaded_router(self) -> Router:
        from threadpoolctl import threadpool_limits

        from collegium.router.encoder import make_encoder

        self._tell("loading the router")
        threadpool_limits(1, "blas")  # its threads would wait busily beside the event loop
        # One thread: the engine needs the cores, and a query is one short sentence.
        cache = self.settings.cache_dir
        encoder = make_encoder(self.settings.encoder, cache=cache, threads=1)
        encoder.encode(["The first query should not pay for lazy loading."])
        fitted = load(self.settings.router_dir or BUNDLED)
        mode = self.settings.online_learning
        if mode != "off":
            self.learner = Learner.open(self._learnt, fitted, mode=mode)
        penalty = self.settings.wait_penalty
        return Router(encoder, fitted, self.speeds, learner=self.learner, wait_penalty=penalty)

    def rate(self, decision_id: str, rating: float, source: str) -> None:
        """Let a rating teach, where online learning is on; every so often it is kept on disk."""
        learner = self.learner
        learnt = learner is not None and learner.rate(decision_id, rating, source)
        if learner and learnt and learner.ratings % KEEP_EVERY == 0:
            learner.save(self._learnt)

    @property
    def _learnt(self) -> Path:
        return self.settings.data_dir / "online"

    def _tell(self, progress: str) -> None:
        self.progress = progress
        log.info(progress)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("background work failed", exc_info=error)


def _spare_collector() -> None:
    """Let Python's collector of cycles pass over all that was loaded, and come by less often.

    A request makes few cycles and thousands of values. In six pairs of runs with 16 connections on
    two busy cores this about halved the 99th percentile of latency (0.4 to 0.2 s in the quietest).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
