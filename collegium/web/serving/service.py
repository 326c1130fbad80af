"""The running service: how its parts start and how they end."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from datetime import UTC, datetime, timedelta

from collegium.errors import CollegiumError
from collegium.experts.embedded import ensure_base_model
from collegium.experts.roster import ENGINE, SPARSE_ENGINE, embedded_experts
from collegium.web.batch.worker import BatchWorker
from collegium.web.learning.worker import LearningWorker
from collegium.web.serving.parts import Parts
from collegium.web.serving.router_follower import RouterFollower
from collegium.web.watching.watcher import Watcher

log = logging.getLogger(__name__)
DATABASE_S = 2.0
"""A database that says nothing for so long is away."""
REMEMBERED = 1000
"""The latest decisions that tell at the start how fast the experts are."""


class Service:
    """One process. `open` returns soon; what takes long goes on in the background."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self._worker = BatchWorker(parts)
        self._routers = RouterFollower(parts)
        self._learning = LearningWorker(parts)
        self._asked_until = 0.0
        self._away = False
        self._watcher = Watcher(parts)

    async def open(self) -> None:
        """Bring the database up to date, then start the engine and load the router beside it."""
        parts, context = self.parts, self.parts.settings.engine_context
        await parts.database.migrate()
        await parts.log.mark_interrupted(datetime.now(UTC) - self._others_may_answer())
        if parts.settings.embedded:
            await parts.registry.seed(ENGINE, embedded_experts(context))
        if SPARSE_ENGINE in parts.fleet:
            from collegium.experts.sparse.engine import mixture

            await parts.registry.seed(SPARSE_ENGINE, [mixture(context)])
        await parts.recognition.open()
        parts.retention.start()
        parts.background.spawn(self._start(), to_its_end=False)
        parts.background.spawn(parts.catalogue.follow(), to_its_end=False)
        self._worker.start()
        self._learning.start()
        self._watcher.start()

    async def close(self) -> None:
        """Start nothing more, stop the engines, finish what is being written, let go."""
        parts = self.parts
        await self._worker.close()
        await self._watcher.close()
        await self._learning.close()
        await self._routers.close()
        parts.background.cancel()
        await parts.fleet.stop()
        await parts.background.finish()
        await parts.recognition.close()
        await parts.retention.close()
        parts.learning.close()
        await parts.pool.aclose()
        await parts.state.close()
        await parts.log.aclose()
        await parts.database.close()
        parts.audit.close()

    def _others_may_answer(self) -> timedelta:
        """How long ago another process of this registry may have begun what it still answers."""
        return timedelta(0) if self.parts.database.is_sqlite else timedelta(minutes=15)

    async def database_is_away(self) -> bool:
        """Whether the database does not answer; asked at most once a second."""
        now = time.monotonic()
        if now >= self._asked_until:
            self._asked_until = now + 1.0
            self._away = await self._does_not_answer()
        return self._away

    async def _does_not_answer(self) -> bool:
        try:
            async with asyncio.timeout(DATABASE_S):
                await self.parts.registry.revision()
        except (CollegiumError, TimeoutError):
            return True
        return False

    def waits_for(self) -> str | None:
        """Why the service can't answer now, in words; None when it can."""
        if (waiting := self.parts.router.waits_for()) is not None:
            return waiting
        embedded = self.parts.fleet.get(ENGINE)  # others' failures are their own experts' alone
        if embedded is None or embedded.status.state == "ready":
            return None
        return f"engine {ENGINE}: {embedded.status.detail}"

    async def _start(self) -> None:
        try:
            await asyncio.gather(self._start_engine(), self._load_router())
        except CollegiumError as exc:
            self.parts.router.fail(exc)
            log.error("the service can't start: %s", exc)

    async def _start_engine(self) -> None:
        fleet, cache = self.parts.fleet, self.parts.settings.cache_dir
        if ENGINE in fleet:
            await asyncio.to_thread(ensure_base_model, cache, self._tell)
            await fleet[ENGINE].start()
        if SPARSE_ENGINE in fleet:
            self.parts.background.spawn(self._start_sparse_engine(), to_its_end=False)

    async def _start_sparse_engine(self) -> None:
        """Take the cores only when the first engine no longer needs them to start.

        Where engines take turns it is one of them, and need not fit beside the others.
        """
        from collegium.experts.sparse.engine import lacking_memory
        from collegium.experts.sparse.model import ensure_sparse_model

        fleet, cache = self.parts.fleet, self.parts.settings.cache_dir
        await fleet[ENGINE].wait_ready()
        engine = fleet[SPARSE_ENGINE]
        try:
            why_not = lacking_memory() if fleet.residents is None else None
            if why_not is None:
                await asyncio.to_thread(ensure_sparse_model, cache, log.info)
                await fleet.run(engine)
        except (CollegiumError, OSError) as exc:
            why_not = f"its engine can't be run: {exc}"
        if why_not is not None:
            log.warning("the sparse mixture is not served: %s", why_not)
            await engine.decline(why_not)

    async def _load_router(self) -> None:
        from collegium.router.recall import lengths, recorded

        parts = self.parts
        past, turns = await parts.log.recent(REMEMBERED), parts.fleet.residents is not None
        parts.speeds.recall(recorded(past, await parts.catalogue.now(), turns=turns))
        parts.tokens.recall(lengths(past))
        if parts.router.waits_for() is not None:
            self._tell("loading the router")
        await self._routers.load()
        _spare_collector()

    def _tell(self, progress: str) -> None:
        self.parts.router.progress = progress
        log.info(progress)


def _spare_collector() -> None:
    """Let Python's collector of cycles pass over all that was loaded, and come by less often.

    A request makes few cycles and thousands of values. In six pairs of runs with 16 connections on
    two busy cores this about halved the 99th percentile of latency (0.4 to 0.2 s in the quietest).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
