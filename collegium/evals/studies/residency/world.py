"""A simulated device that carries out the residency scheduler's commands, deterministically.

An answer takes `first_s + tokens · (token_s + loaded_token_s · others)`, with `others` the answers
that the engine makes when this one begins: the form that latencies were fitted with.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count

from collegium.experts.residency.scheduler import Command, Request, Scheduler
from collegium.experts.residency.view import EngineCost, Policy

LOOK_S = 1.0
"""A policy that waits for its moment is asked again so often."""


@dataclass(frozen=True)
class Arrival:
    """One request of a trace: when, for which engine, how many tokens long its answer is."""

    at: float
    engine: str
    tokens: int
    prompt: int = 0
    """Which of the set's prompts it is: several requests may ask the same."""
    forecasts: Mapping[str, float] | None = None
    """P(correct) by engine, as the router forecasts it."""
    scores: Mapping[str, float] | None = None
    """What each engine's answer was really worth."""


Route = Callable[[Arrival, Callable[[str], float]], str]
"""Picks a request's engine, given the seconds until each is loaded."""


@dataclass(frozen=True)
class Pace:
    """How fast an engine answers, seconds."""

    first_s: float
    token_s: float
    loaded_token_s: float

    def answer_s(self, tokens: int, others: int) -> float:
        """The time of a whole answer."""
        return self.first_s + tokens * (self.token_s + self.loaded_token_s * others)


EMBEDDED_PACE = Pace(first_s=0.3, token_s=0.03, loaded_token_s=0.0027)
"""The embedded engine on 2 cores: 280 tokens a second of 32 answers together."""


@dataclass
class Span:
    """An engine on the device: loading from `begin`, answering from `ready`, gone at `end`."""

    engine: str
    begin: float
    ready: float = 0.0
    end: float = 0.0


@dataclass
class Run:
    """What came of a trace under one policy."""

    waits: list[float] = field(default_factory=list)
    """Seconds from arrival to the beginning of the answer, by request."""
    forecasts: list[float] = field(default_factory=list)
    """The seconds until its engine would be loaded, as forecast when the request came; else 0."""
    engines: list[str] = field(default_factory=list)
    """The answering engine, by request."""
    swaps: int = 0
    end: float = 0.0
    spans: list[Span] = field(default_factory=list)


def simulate(
    arrivals: Sequence[Arrival],
    engines: Mapping[str, EngineCost],
    budget_gib: float,
    policy: Policy,
    pace: Pace,
    *,
    in_order: bool = False,
    route: Route | None = None,
) -> Run:
    """Play a trace to its last answer; without a `route` each request has its engine already."""
    world = _World(arrivals, engines, budget_gib, policy, pace, in_order, route)
    return world.play()


class _World:
    def __init__(
        self,
        arrivals: Sequence[Arrival],
        engines: Mapping[str, EngineCost],
        budget_gib: float,
        policy: Policy,
        pace: Pace,
        in_order: bool,
        route: Route | None,
    ) -> None:
        self._arrivals = arrivals
        self._engines = engines
        self._pace = pace
        self._in_order = in_order
        self._route = route
        self._scheduler = Scheduler(engines, budget_gib, policy, in_order=in_order)
        self._events: list[tuple[float, int, str, str]] = []
        self._order = count()
        self._running = dict.fromkeys(engines, 0)
        self._open = len(arrivals)
        self._spans: dict[str, Span] = {}
        none = [0.0] * len(arrivals)
        self._run = Run(list(none), list(none), engines=[a.engine for a in arrivals])

    def play(self) -> Run:
        for number, arrival in enumerate(self._arrivals):
            self._later(arrival.at, "arrive", str(number))
        self._later(0.0, "look", "")
        while self._open:
            now, _, what, which = heapq.heappop(self._events)
            self._happen(now, what, which)
            for command in self._scheduler.step(now):
                self._obey(now, command)
        for span in self._spans.values():
            span.end = now
        self._run.end, self._run.swaps = now, self._scheduler.swaps
        return self._run

    def _later(self, at: float, what: str, which: str) -> None:
        heapq.heappush(self._events, (at, next(self._order), what, which))

    def _happen(self, now: float, what: str, which: str) -> None:
        if what == "arrive":
            self._arrive(now, int(which))
        elif what == "answered":
            self._open -= 1
            self._running[which] -= 1
            self._scheduler.finished(which, now)
        elif what == "loaded":
            self._spans[which].ready = now
            self._scheduler.loaded(which, now)
        elif what == "unloaded":
            self._scheduler.gone(which)
        else:
            self._later(now + LOOK_S, "look", "")

    def _arrive(self, now: float, number: int) -> None:
        arrival, run = self._arrivals[number], self._run
        if self._route is not None:
            run.engines[number] = self._route(arrival, partial(self._scheduler.wait_s, now=now))
        engine = run.engines[number]
        if not self._in_order:  # where a queue goes before the policy, that knows nothing
            run.forecasts[number] = self._scheduler.wait_s(engine, now)
        self._scheduler.arrived(Request(number, engine, now))

    def _obey(self, now: float, command: Command) -> None:
        name, cost = command.engine, self._engines[command.engine]
        if command.what == "load":
            span = self._spans[name] = Span(name, now)
            self._run.spans.append(span)
            self._later(now + cost.load_s, "loaded", name)
        elif command.what == "unload":
            self._spans.pop(name).end = now
            self._later(now + cost.unload_s, "unloaded", name)
        elif command.request is not None:
            number = command.request.number
            self._run.waits[number] = now - command.request.arrived
            took = self._pace.answer_s(self._arrivals[number].tokens, self._running[name])
            self._running[name] += 1
            self._later(now + took, "answered", name)
