"""Supervised engines that are loaded and unloaded as the residency scheduler decides."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

from collegium.errors import ExpertUnavailable, SetupError
from collegium.experts.residency.lru import EPSILON
from collegium.experts.residency.scheduler import Request, Scheduler
from collegium.experts.residency.view import EngineCost, Policy
from collegium.experts.supervisor import Supervisor

LOOK_S = 1.0
LONGEST_LOAD_S = 600.0
REST_S = 60.0
"""A broken engine must not push others out again and again."""
CAUTION = 0.25
"""For deadlines: the relative margin by which a load may take longer than the last one."""


class Residents:
    """Engines under a budget of memory: `hold` one, and it is loaded and stays meanwhile.

    The budget is the machine's, or one for each of its cards.
    """

    def __init__(
        self,
        budget_gib: float | Mapping[int, float],
        policy: Policy,
        *,
        longest_load_s: float = LONGEST_LOAD_S,
    ) -> None:
        self._has_cards = isinstance(budget_gib, Mapping)
        self._budget_gib = budget_gib if isinstance(budget_gib, Mapping) else {0: budget_gib}
        self.engines: dict[str, Supervisor] = {}
        self.costs: dict[str, EngineCost] = {}
        self.load_s: dict[str, float] = {}
        """What each engine's last load took."""
        self._scheduler = Scheduler({}, self._budget_gib, policy)
        self._longest_load_s = longest_load_s
        self._numbers = count()
        self._rests: dict[str, float] = {}
        """Until when an engine that could not be loaded is not tried again."""
        self._waiting: dict[int, tuple[Request, asyncio.Future[None]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._looking: asyncio.Task[None] | None = None

    def __contains__(self, name: object) -> bool:
        return name in self.engines

    def register(self, engine: Supervisor, cost: EngineCost) -> None:
        """Let an engine take turns; SetupError when it can never fit, or others no longer."""
        costs = {**self.costs, engine.name: cost}
        for name in costs:
            self._refuse_too_large(name, costs)
        self.engines[engine.name] = engine
        self.costs[engine.name] = cost
        self._scheduler.register(engine.name, cost)

    def _refuse_too_large(self, name: str, costs: Mapping[str, EngineCost]) -> None:
        """SetupError if an engine does not fit on a card, were all others asleep."""
        cost = costs[name]
        for card in cost.cards:
            beside = (c for n, c in costs.items() if n != name and card in c.cards)
            others = sum(c.asleep_gib for c in beside)
            there = self._budget_gib.get(card, 0.0)
            if cost.memory_gib + others > there + EPSILON:
                asleep = f" beside {others:.1f} GiB of engines that sleep" if others else ""
                leaves = f"card {card} has" if self._has_cards else "engine_memory_gib leaves"
                raise SetupError(
                    f"the engine '{name}' takes about {cost.memory_gib:.1f} GiB{asleep}; "
                    f"{leaves} {there:.1f} GiB for those that take turns"
                )

    @property
    def budget_gib(self) -> float:
        """The memory for engines that take turns, of the card that has most of it."""
        return max(self._budget_gib.values(), default=0.0)

    def take(self, cards: Sequence[int], gib: float) -> None:
        """Take memory of each of these cards for an engine that stays; a negative amount returns
        it."""
        left = {card: self._budget_gib.get(card, 0.0) - gib for card in cards}
        self._budget_gib = {**self._budget_gib, **left}
        self._scheduler.take(cards, gib)
        self._step()

    def dismiss(self, name: str) -> None:
        """Forget an engine that its owner has stopped; waiting requests fail."""
        self._refuse(name, "it was removed")
        del self.engines[name], self.costs[name]
        self._scheduler.dismiss(name)
        self._step()

    @asynccontextmanager
    async def hold(
        self, name: str, *, deadline: float | None = None, foretells: bool = True
    ) -> AsyncGenerator[Supervisor]:
        """Wait for an engine's turn and use it; `deadline` is on the clock of `time.monotonic`.

        Work that says nothing of what comes next, such as a bulk job's, `foretells` nothing.

        Raises ExpertUnavailable when the engine can't be loaded.
        """
        if (refusal := self.refusal(name)) is not None:
            raise refusal
        request = Request(
            next(self._numbers), name, time.monotonic(), self._careful(name, deadline)
        )
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[request.number] = request, turn
        self._scheduler.arrived(request, None if foretells else {})
        self._step()
        try:
            await turn
        except asyncio.CancelledError:
            self._withdraw(request)
            raise
        try:
            yield self.engines[name]
        finally:
            if name in self.engines:  # it may have been removed meanwhile
                self._scheduler.finished(name, time.monotonic())
                self._step()

    def wait_s(self, name: str, deadline: float | None = None) -> float:
        """Forecast how many seconds `hold` would wait now; 0 if the engine is loaded."""
        return self._scheduler.wait_s(name, time.monotonic(), self._careful(name, deadline))

    def refusal(self, name: str) -> ExpertUnavailable | None:
        """Return why an engine can't be held now; None if it can."""
        if time.monotonic() >= self._rests.get(name, 0.0):
            return None
        why = "it could not be loaded a moment ago"
        return ExpertUnavailable(name, f"its engine can't be used: {why}", round(REST_S))

    def _careful(self, name: str, deadline: float | None) -> float | None:
        return None if deadline is None else deadline - CAUTION * self.costs[name].load_s

    @property
    def resident(self) -> tuple[str, ...]:
        """The engines that are loaded."""
        return tuple(n for n in self.engines if self._scheduler.phase(n) == "resident")

    async def aclose(self) -> None:
        """Stop every engine; waiting requests fail."""
        if self._looking is not None:
            self._looking.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for name in self.engines:
            self._refuse(name, "the service ends")
        await asyncio.gather(*(engine.stop() for engine in self.engines.values()))

    def _step(self) -> None:
        """Execute the scheduler's commands; check again soon while requests wait."""
        for command in self._scheduler.step(time.monotonic()):
            if command.what == "load":
                self._spawn(self._load(command.engine))
            elif command.what == "unload":
                self._spawn(self._unload(command.engine))
            elif command.request is not None:
                _, turn = self._waiting.pop(command.request.number)
                turn.set_result(None)
        if self._waiting and (self._looking is None or self._looking.done()):
            self._looking = asyncio.create_task(self._look(), name="residency")

    async def _look(self) -> None:
        """Policies also act because time passes."""
        while self._waiting:
            await asyncio.sleep(LOOK_S)
            self._step()

    async def _load(self, name: str) -> None:
        began = time.monotonic()
        engine = self.engines[name]
        slept = engine.status.pid if engine.status.state == "asleep" else None
        await engine.start()
        try:
            async with asyncio.timeout(self._longest_load_s):
                status = await engine.wait_settled()
        except TimeoutError:
            status = engine.status
        now = time.monotonic()
        if name not in self.engines:  # removed meanwhile
            return
        if status.state == "ready":
            self.load_s[name] = now - began
            woke = slept is not None and status.pid == slept
            self._scheduler.loaded(name, now, took_s=now - began, woke=woke)
        else:
            await engine.stop()
            self._rests[name] = now + REST_S
            self._scheduler.gone(name)
            self._refuse(name, "it could not be loaded", status.detail)
        self._step()

    async def _unload(self, name: str) -> None:
        engine = self.engines[name]
        await engine.rest()
        if name in self.engines:
            self._scheduler.gone(name, asleep=engine.status.state == "asleep")
        self._step()

    def _withdraw(self, request: Request) -> None:
        """Withdraw a cancelled request from the queue, or return the turn that it has just got."""
        if self._waiting.pop(request.number, None) is not None:
            self._scheduler.left(request)
        elif request.engine in self.engines:
            self._scheduler.finished(request.engine, time.monotonic())
        self._step()

    def _refuse(self, name: str, why: str, detail: str = "") -> None:
        """Fail all requests that wait for an engine."""
        for request, turn in list(self._waiting.values()):
            if request.engine == name:
                del self._waiting[request.number]
                self._scheduler.left(request)
                message = f"its engine '{name}' can't be used: {why}"
                turn.set_exception(
                    ExpertUnavailable(name, message, retry_after_s=60, detail=detail)
                )

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
