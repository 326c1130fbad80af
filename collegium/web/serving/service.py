"""The running service: startup and shutdown of its parts."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from collegium.errors import CollegiumError
from collegium.experts.embedded import ensure_base_model
from collegium.experts.roster import ENGINE, SPARSE_ENGINE, embedded_experts
from collegium.registry.background import Repeating
from collegium.web.serving.parts import Parts

if TYPE_CHECKING:
    from prometheus_client.registry import Collector

    from collegium.web.watching.loop_watch import LoopWatch

log = logging.getLogger(__name__)
DATABASE_S = 2.0
"""A database that says nothing for so long is away."""
MEASURED_S = 10.0
REMEMBERED = 1000
"""The latest decisions that tell at the start how fast the experts are."""


class Worker(Protocol):
    """Works in the background while the service runs."""

    def start(self) -> None:
        """Start working."""

    async def close(self) -> None:
        """Stop."""


class Workers(Protocol):
    """Further processes that answer requests."""

    async def open(self) -> None:
        """Start them."""

    def waits_for(self) -> str | None:
        """What is to happen until one of them answers."""

    def ready(self) -> str:
        """How many of them answer."""

    async def metrics(self) -> Collector:
        """The metrics of all processes together."""

    async def close(self) -> None:
        """End them."""


class Service:
    """One process. `open` returns quickly; slow parts start in the background.

    A worker of several does not own the engines, learning and what else may be done once only; the
    process that does has a `crew`.
    """

    def __init__(self, parts: Parts, *, owns: bool = True, crew: Workers | None = None) -> None:
        self.parts = parts
        self.crew = crew
        self._owns = owns
        self._workers: list[Worker] = []
        self._measuring = Repeating(
            self.measure, MEASURED_S, name="measure", failing="nothing is measured for now"
        )
        self._asked_until = 0.0
        self._loop_watch: LoopWatch | None = None
        self._away = False

    async def open(self) -> None:
        """Bring the database up to date, then start the engine and load the router beside it."""
        parts = self.parts
        _spare_collector()
        if self._owns:
            await parts.database.migrate()
            await self._move_local_state()
            await parts.log.mark_interrupted(datetime.now(UTC) - self._others_may_answer())
            await self._seed()
            parts.retention.start()
            parts.usage.start()
        parts.telemetry.start()
        await parts.callers.open()
        await parts.recognition.open()
        await parts.budgets.open()
        parts.background.spawn(self._start(), to_its_end=False)
        parts.background.spawn(parts.catalogue.follow(), to_its_end=False)
        if parts.telemetry.on:
            self._measuring.start()  # for a collector, which is told in intervals; Prometheus asks
        self._workers = workers(parts, owns=self._owns)
        for worker in self._workers:
            worker.start()
        if self.crew is not None:
            await self.crew.open()
        from collegium.web.watching.loop_watch import LoopWatch  # once the service runs

        self._loop_watch = LoopWatch()
        self._loop_watch.start()

    async def _seed(self) -> None:
        """Register the embedded experts, unless they are registered."""
        parts, context = self.parts, self.parts.settings.engine_context
        if parts.settings.embedded:
            await parts.registry.seed(ENGINE, embedded_experts(context))
        if SPARSE_ENGINE in parts.fleet:
            from collegium.experts.sparse.engine import mixture

            await parts.registry.seed(SPARSE_ENGINE, [mixture(context)])

    async def _move_local_state(self) -> None:
        """Move what an earlier version left in the data folder into the database."""
        folder = self.parts.settings.data_dir
        if any((folder / name).is_dir() for name in ("files", "batches", "online")):
            from collegium.registry import local_state

            await local_state.move(folder, self.parts.database)

    async def close(self) -> None:
        """Start nothing more, stop the engines, finish what is being written, let go."""
        parts = self.parts
        if self.crew is not None:
            await self.crew.close()
        if self._loop_watch is not None:
            self._loop_watch.close()
        for worker in self._workers:
            await worker.close()
        await parts.router_follower.close()
        await self._measuring.close()
        parts.background.cancel()
        await parts.fleet.stop()
        await parts.background.finish()
        await parts.callers.close()
        await parts.recognition.close()
        await parts.budgets.close()
        await parts.retention.close()
        await parts.usage.close()
        await parts.learning.close()
        await parts.pool.aclose()
        await parts.state.close()
        if parts.cache is not None:
            await parts.cache.close()
        await parts.log.aclose()
        await parts.database.close()
        parts.audit.close()
        await parts.telemetry.close()

    def _others_may_answer(self) -> timedelta:
        """Return how long ago another process may have started answers that are still running."""
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

    async def measure(self) -> None:
        """Bring the metrics up to date that nobody counts."""
        parts = self.parts
        parts.metrics.in_flight(parts.speeds.in_flight)
        parts.metrics.queues(parts.pool.dispatcher)
        parts.metrics.keys(parts.callers.states())
        parts.metrics.database(parts.database.detours)
        states = {name: engine.status.state for name, engine in parts.fleet.items()}
        parts.metrics.engines({name: state == "ready" for name, state in states.items()})
        if parts.cache is not None:
            await parts.cache.measure()
        try:
            parts.metrics.budgets(await parts.budgets.shares())
        except CollegiumError as exc:  # Redis is away
            log.warning("the use of budgets is not measured for now: %s", exc)

    async def metrics(self) -> Collector:
        """The metrics of the whole service, up to date."""
        await self.measure()
        return self.parts.metrics.registry if self.crew is None else await self.crew.metrics()

    def waits_for(self) -> str | None:
        """Describe why the service can't answer yet; None once it can."""
        if (waiting := self.parts.router.waits_for()) is not None:
            return waiting
        embedded = self.parts.fleet.get(ENGINE)  # others' failures are their own experts' alone
        if embedded is None or embedded.status.state == "ready":
            return None if self.crew is None else self.crew.waits_for()
        return f"engine {ENGINE}: {embedded.status.detail}"

    async def _start(self) -> None:
        try:
            if self._owns:
                await asyncio.gather(self._start_engine(), self._load_router())
            else:
                await self._load_router()
        except CollegiumError as exc:
            self.parts.router.fail(exc)
            log.error("the service can't start: %s", exc)

    async def _start_engine(self) -> None:
        fleet, cache = self.parts.fleet, self.parts.settings.cache_dir
        if ENGINE in fleet:
            await asyncio.to_thread(ensure_base_model, cache, self._tell)
            await fleet.keep(fleet[ENGINE])
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
        await self.parts.router_follower.load()
        await self.parts.learning.look()
        self.parts.learning.start()
        _spare_collector()

    def _tell(self, progress: str) -> None:
        self.parts.router.progress = progress
        log.info(progress)


def _spare_collector() -> None:
    """Exempt everything loaded so far from Python's garbage collector, and run it less often.

    A request makes few cycles and thousands of values. In six pairs of runs with 16 connections on
    two busy cores this about halved the 99th percentile of latency (0.4 to 0.2 s in the quietest).

    Nothing is collected first: what has been loaded are 310,000 objects, of which a collection
    frees fewer than 100 and meanwhile holds up every answer, for 0.17 s of a core.
    """
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def workers(parts: Parts, *, owns: bool = True) -> list[Worker]:
    """Return the workers, whose modules are needed only by a service that runs."""
    from collegium.web.watching.watcher import Watcher

    if not owns:
        return [Watcher(parts, may_lead=False)]
    from collegium.web.batch.worker import BatchWorker
    from collegium.web.learning.worker import LearningWorker

    return [BatchWorker(parts), Watcher(parts), LearningWorker(parts)]
