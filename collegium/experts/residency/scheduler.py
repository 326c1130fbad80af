"""The residency scheduler: requests in, commands out, without a clock or a task of its own.

The live service and the simulator drive this same code: they tell what happened and when, and
carry out what `step` returns.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from collegium.experts.residency.demand import Demand
from collegium.experts.residency.lru import cards_lacking
from collegium.experts.residency.view import Change, EngineCost, EngineView, Phase, Policy, View
from collegium.experts.residency.waiting import forecast_s

FRESH_S = 1.0


@dataclass(frozen=True, slots=True)
class Request:
    """A request that waits for an engine; `number` gives the order of arrival."""

    number: int
    engine: str
    arrived: float
    deadline: float | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """A command: begin a request on its engine, load an engine, or unload one."""

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
        """The cost of its next load: an engine that is loaded now will wake from sleep then."""
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
    """Engines under a memory budget, one for each card.

    `in_order` begins requests strictly as they arrived.
    """

    def __init__(
        self,
        engines: Mapping[str, EngineCost],
        budget_gib: float | Mapping[int, float],
        policy: Policy,
        *,
        in_order: bool = False,
    ) -> None:
        self._engines: dict[str, _Engine] = {}
        by_card = budget_gib if isinstance(budget_gib, Mapping) else {0: budget_gib}
        self._budget_gib = dict(by_card)
        for name, cost in engines.items():
            self.register(name, cost)
        self._policy = policy
        self._demand = Demand()
        self._in_order = in_order
        self._change: Change | None = None
        self._deadlines = 0
        self._forecasts: dict[str, tuple[float, float]] = {}
        """The forecast wait for each engine, and when it was made."""
        self.swaps = 0
        """Loads so far."""

    def register(self, name: str, cost: EngineCost) -> None:
        """Add an engine. The memory that it keeps while sleeping is reserved from now on."""
        self.take(cost.cards, cost.asleep_gib)
        awake = replace(cost, memory_gib=cost.memory_gib - cost.asleep_gib)
        self._engines[name] = _Engine(awake)

    def dismiss(self, name: str) -> None:
        """Remove an engine that isn't loaded and for which nothing waits."""
        self._forecasts.pop(name, None)
        self.gone(name)
        cost = self._engines.pop(name).cost
        self.take(cost.cards, -cost.asleep_gib)

    def take(self, cards: Sequence[int], gib: float) -> None:
        """Take memory of each of these cards from those that take turns; below 0: give it back."""
        for card in cards:
            self._budget_gib[card] = self._budget_gib.get(card, 0.0) - gib

    def arrived(self, request: Request, probabilities: Mapping[str, float] | None = None) -> None:
        """Note a request for an engine, and the router's probabilities for similar ones, if
        known.
        """
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
        """Note that a load has succeeded; its duration is the forecast for the next one."""
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
        """Return the commands to execute now."""
        commands = self._starts(now)
        if self._change is None:
            self._change = self._policy.decide(self.view(now))
            if self._change is not None:
                self._forecasts.clear()
            for name in self._change.evict if self._change else ():
                self._engines[name].turn("leaving", now)
        return commands + self._unloads(now) + self._loads(now)

    def phase(self, engine: str) -> Phase:
        """Return the phase of an engine between unloaded and loaded."""
        return self._engines[engine].phase

    def wait_s(self, engine: str, now: float, by: float | None = None) -> float:
        """Return the seconds until an engine would be loaded for a new request with a deadline.

        A forecast: 0 if it is loaded. Until something changes it is made anew once a second.
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
        """Return the policy's view."""
        engines = {name: self._seen(name, e, now) for name, e in self._engines.items()}
        return View(now, dict(self._budget_gib), engines, self._change)

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
        if cards_lacking(self.view(now).free_gib(), engine.cost):
            return []
        engine.turn("loading", now)
        self._forecasts.clear()
        self.swaps += 1
        return [Command("load", self._change.load)]
