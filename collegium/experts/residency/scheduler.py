"""The scheduler of residency: requests in, commands out. No clock and no process of its own.

The live service and the simulator drive this same code: they tell what happened and when, and
carry out what `step` returns.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from collegium.experts.residency.demand import Demand
from collegium.experts.residency.lru import EPSILON
from collegium.experts.residency.view import Change, EngineCost, EngineView, Phase, Policy, View
from collegium.experts.residency.waiting import forecast_s

FRESH_S = 1.0


@dataclass(frozen=True, slots=True)
class Request:
    """Somebody waits for an engine; `number` is the caller's, in the order of arrival."""

    number: int
    engine: str
    arrived: float
    deadline: float | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """What is to be done now: begin a request on its engine, load an engine or unload one."""

    what: Literal["start", "load", "unload"]
    engine: str
    request: Request | None = None


@dataclass
class _Engine:
    cost: EngineCost
    phase: Phase = "absent"
    since: float = 0.0
    waiting: deque[Request] = field(default_factory=deque)
    running: int = 0
    last_used: float = 0.0
    asleep: bool = False
    arrivals: float = 0.0
    """The sum of the waiting requests' arrivals: queues may be long and are looked at often."""

    @property
    def next_cost(self) -> EngineCost:
        """With what its next load takes: what is loaded now will have slept before that."""
        wakes = self.asleep or self.phase != "absent"
        if self.cost.wake_s is None or not wakes:
            return self.cost
        return replace(self.cost, load_s=self.cost.wake_s)

    def turn(self, phase: Phase, now: float = 0.0) -> None:
        self.phase, self.since = phase, now

    def wait(self, request: Request) -> None:
        self.waiting.append(request)
        self.arrivals += request.arrived

    def begin(self) -> Request:
        request = self.waiting.popleft()
        self.arrivals -= request.arrived
        return request

    def leave(self, request: Request) -> None:
        self.waiting.remove(request)
        self.arrivals -= request.arrived


class Scheduler:
    """Engines under one memory budget. `in_order` begins requests strictly as they arrived."""

    def __init__(
        self,
        engines: Mapping[str, EngineCost],
        budget_gib: float,
        policy: Policy,
        *,
        demand: Demand | None = None,
        in_order: bool = False,
    ) -> None:
        self._engines: dict[str, _Engine] = {}
        self._budget_gib = budget_gib
        for name, cost in engines.items():
            self.register(name, cost)
        self._policy = policy
        self._demand = demand or Demand()
        self._in_order = in_order
        self._change: Change | None = None
        self._deadlines = 0
        self._forecasts: dict[str, tuple[float, float]] = {}
        """When the wait for each engine was forecast, and as what."""
        self.swaps = 0
        """Loads so far."""

    def register(self, name: str, cost: EngineCost) -> None:
        """Know one more engine. What it keeps while it sleeps is nobody else's from now on."""
        self._budget_gib -= cost.asleep_gib
        awake = replace(cost, memory_gib=cost.memory_gib - cost.asleep_gib)
        self._engines[name] = _Engine(awake)

    def dismiss(self, name: str) -> None:
        """Know an engine no more; nobody waits for it and it is not loaded."""
        self._forecasts.pop(name, None)
        self.gone(name)
        self._budget_gib += self._engines.pop(name).cost.asleep_gib

    def arrived(self, request: Request, probabilities: Mapping[str, float] | None = None) -> None:
        """A request came for an engine; where the router would send others like it, if known."""
        self._engines[request.engine].wait(request)
        self._deadlines += request.deadline is not None
        likely = {request.engine: 1.0} if probabilities is None else probabilities
        if likely:
            self._demand.arrived(request.arrived, likely)

    def left(self, request: Request) -> None:
        """A waiting request's caller is gone."""
        self._engines[request.engine].leave(request)
        self._deadlines -= request.deadline is not None

    def finished(self, engine: str, now: float) -> None:
        """A request that was begun on an engine has ended."""
        self._engines[engine].running -= 1
        self._engines[engine].last_used = now

    def loaded(
        self, engine: str, now: float, took_s: float | None = None, *, woke: bool = False
    ) -> None:
        """A load has ended well; what it took is what the next one is expected to take."""
        state = self._engines[engine]
        state.turn("resident", now)
        state.last_used = now
        if took_s is not None:
            cost = state.cost
            state.cost = replace(cost, wake_s=took_s) if woke else replace(cost, load_s=took_s)
        self._change = None
        self._forecasts.clear()

    def gone(self, engine: str, *, asleep: bool = False) -> None:
        """An unload has ended, or an engine died or could not be loaded."""
        self._engines[engine].turn("absent")
        self._engines[engine].asleep = asleep
        self._forecasts.clear()
        if self._change is not None and self._change.load == engine:
            self._change = None

    def step(self, now: float) -> list[Command]:
        """What is to be done now."""
        commands = self._starts(now)
        if self._change is None:
            self._change = self._policy.decide(self.view(now))
            if self._change is not None:
                self._forecasts.clear()
            for name in self._change.evict if self._change else ():
                self._engines[name].turn("leaving", now)
        return commands + self._unloads(now) + self._loads(now)

    def phase(self, engine: str) -> Phase:
        """Where an engine is on its way in or out."""
        return self._engines[engine].phase

    def wait_s(self, engine: str, now: float, by: float | None = None) -> float:
        """Seconds until an engine would be loaded for somebody who asks for it now, by a deadline.

        A forecast: 0 where it is loaded. Until something changes it is made anew once a second.
        """
        if self._engines[engine].phase == "resident":
            return 0.0
        if by is not None:
            return forecast_s(self.view(now), self._policy, engine, by)
        made, wait_s = self._forecasts.get(engine, (-math.inf, 0.0))
        if now - made >= FRESH_S:
            made, wait_s = now, forecast_s(self.view(now), self._policy, engine)
            self._forecasts[engine] = made, wait_s
        return max(0.0, made + wait_s - now)

    def view(self, now: float) -> View:
        """What the policy sees."""
        engines = {name: self._seen(name, e, now) for name, e in self._engines.items()}
        return View(now, self._budget_gib, engines, self._change)

    def _seen(self, name: str, engine: _Engine, now: float) -> EngineView:
        waiting = engine.waiting
        dated = waiting if self._deadlines else ()
        deadlines = [r.deadline for r in dated if r.deadline is not None]
        return EngineView(
            name,
            engine.next_cost,
            engine.phase,
            len(waiting),
            len(waiting) * now - engine.arrivals,
            waiting[0].arrived if waiting else None,
            min(deadlines, default=None),
            engine.running,
            engine.last_used,
            self._demand.per_second(name, now),
            engine.since,
        )

    def _starts(self, now: float) -> list[Command]:
        commands = []
        while (name := self._next()) is not None:
            engine = self._engines[name]
            engine.running += 1
            engine.last_used = now
            request = engine.begin()
            self._deadlines -= request.deadline is not None
            commands.append(Command("start", name, request))
        return commands

    def _next(self) -> str | None:
        """An engine that can begin its next request."""
        waiting = [name for name, e in self._engines.items() if e.waiting]
        if self._in_order and waiting:
            waiting = [min(waiting, key=lambda n: self._engines[n].waiting[0].number)]
        return next((name for name in waiting if self._free(self._engines[name])), None)

    def _free(self, engine: _Engine) -> bool:
        return engine.phase == "resident" and engine.running < engine.cost.at_once

    def _unloads(self, now: float) -> list[Command]:
        idle = [n for n, e in self._engines.items() if e.phase == "leaving" and not e.running]
        for name in idle:
            self._engines[name].turn("unloading", now)
        return [Command("unload", name) for name in idle]

    def _loads(self, now: float) -> list[Command]:
        if self._change is None or self._engines[self._change.load].phase != "absent":
            return []
        engine = self._engines[self._change.load]
        taken = sum(e.cost.memory_gib for e in self._engines.values() if e.phase != "absent")
        if taken + engine.cost.memory_gib > self._budget_gib + EPSILON:
            return []
        engine.turn("loading", now)
        self._forecasts.clear()
        self.swaps += 1
        return [Command("load", self._change.load)]
