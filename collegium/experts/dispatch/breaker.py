"""Circuit breakers: an expert that failed several times in a row is not asked for a while."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from typing import Literal

from collegium.errors import ExpertError, ExpertUnavailable, RateLimited, StateUnavailable
from collegium.registry.state import MemoryState, SharedState

State = Literal["closed", "open", "half-open"]
EVERYBODY = ("",)
FRESH_S = 1.0
"""Seconds for which a copy of the shared state is used."""


@dataclass(frozen=True)
class Rules:
    """When a circuit opens, and for how long, in seconds."""

    failures: int = 5
    first_rest_s: float = 5.0
    longest_rest_s: float = 60.0
    probe_s: float = 30.0
    """After this time without a result, a probe no longer keeps others from trying."""

    def rest_s(self, times: int) -> float:
        """Doubled each time that it opens again without an answer in between."""
        return min(self.longest_rest_s, self.first_rest_s * 2.0 ** min(times - 1, 30))


@dataclass(frozen=True)
class Circuit:
    """One expert's circuit breaker; times are `time.time`, since replicas share them.

    A clock that is set back ends rests: a moment before the rest began is none of the rest.
    """

    failures: int = 0
    opened: int = 0
    since: float = 0.0
    until: float = 0.0
    probed_since: float = 0.0
    probed_until: float = 0.0
    callers: tuple[str, ...] = ()
    """The callers whose requests failed since the last success: one of them, or EVERYBODY."""
    limited_since: float = 0.0
    limited_until: float = 0.0
    """Until when the provider's rate limit applies; to all callers, since they share the service's
    key.
    """

    def limited_s(self, now: float) -> float:
        """Seconds until its provider takes requests again; 0 when it does now."""
        return max(self.limited_until - now, 0.0) if self.limited_since <= now else 0.0

    def state(self, now: float) -> State:
        """Closed lets all through, open none, half-open one probe."""
        if not self.opened:
            return "closed"
        return "open" if self.since <= now < self.until else "half-open"

    def rest_s(self, now: float) -> float:
        """Seconds until it lets the next request through; 0 when it does now."""
        rests = self.until - now if self.since <= now else 0.0
        probed = self.probed_until - now if self.probed_since <= now else 0.0
        return max(rests, probed, 0.0) if self.opened else 0.0

    def concerns(self, caller: str) -> bool:
        """Whether a caller is to leave the expert alone, and not another, whose requests failed."""
        return not caller or not self.callers or self.callers[0] in ("", caller)

    def failed(self, now: float, rules: Rules, caller: str = "") -> Circuit:
        """After a failure of a caller's request."""
        failures = self.failures + 1
        callers = (caller,) if self.callers in ((), (caller,)) else EVERYBODY
        state = self.state(now)
        if state == "open" or (state == "closed" and failures < rules.failures):
            return replace(self, failures=failures, callers=callers)
        opened = self.opened + 1
        until = now + rules.rest_s(opened)
        anew = Circuit(failures, opened, now, until, callers=callers)
        return replace(anew, limited_since=self.limited_since, limited_until=self.limited_until)

    def succeeded(self) -> Circuit:
        """After an answer; another request of the same moment may have been turned away."""
        return Circuit(limited_since=self.limited_since, limited_until=self.limited_until)

    def limited(self, now: float, rest_s: float) -> Circuit:
        """After the provider asked for a rest: the longest that any replica was asked for."""
        until = max(now + rest_s, self.limited_until if self.limited_s(now) else 0.0)
        return replace(self, limited_since=now, limited_until=until)

    def probed(self, now: float, rules: Rules) -> Circuit:
        """While one request finds out."""
        return replace(self, probed_since=now, probed_until=now + rules.probe_s)


KNOWN = tuple(field.name for field in fields(Circuit))


class Breakers:
    """All circuits, shared through the state; a local copy answers without waiting."""

    def __init__(
        self,
        state: SharedState | None = None,
        rules: Rules | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._state = state or MemoryState()
        self._rules = rules or Rules()
        self._clock = clock
        self._copies: dict[str, tuple[Circuit, float]] = {}
        self._reads: dict[str, asyncio.Task[None]] = {}

    def circuit(self, key: str) -> Circuit:
        """Return the local state of a circuit."""
        return self._copies.get(key, (Circuit(), 0.0))[0]

    def states(self) -> dict[str, State]:
        """Every circuit that ever failed here."""
        now = self._clock()
        return {key: circuit.state(now) for key, (circuit, _) in self._copies.items()}

    def pauses(self) -> Mapping[str, float]:
        """Seconds until the provider of each circuit that failed here takes requests again."""
        now = self._clock()
        found = {key: circuit.limited_s(now) for key, (circuit, _) in self._copies.items()}
        for key in [key for key, limited_s in found.items() if limited_s]:
            self._read_soon(key)
        return found

    def refusal(self, key: str, expert: str, caller: str = "") -> ExpertError | None:
        """Return why an expert may not be asked by a caller now; None if it may.

        Soon after a refusal by an old copy the copy is replaced: another process may have ended the
        rest.
        """
        known = self._copies.get(key)
        if known is None:
            return None
        if known[0].limited_until and (limited_s := known[0].limited_s(self._clock())):
            self._read_soon(key)
            words = "its provider takes no more requests for a while"
            return RateLimited(expert, words, max(1, math.ceil(limited_s)))
        if not known[0].opened:  # nearly always; it is asked of every expert
            return None
        if not known[0].concerns(caller):
            return None
        rest_s = self.circuit(key).rest_s(self._clock())
        if rest_s <= 0:
            return None
        self._read_soon(key)
        message = "it failed several times in a row and is left alone for a while"
        return ExpertUnavailable(expert, message, retry_after_s=max(1, round(rest_s)))

    async def enter(self, key: str, expert: str, caller: str = "") -> None:
        """Let a request through, or raise ExpertUnavailable; the first after a rest is a probe."""
        now = self._clock()
        circuit, read = self._copies.get(key, (Circuit(), 0.0))
        if not 0 <= now - read <= FRESH_S:
            circuit = self._keep(key, await self._state.get(_name(key)))
        if not circuit.concerns(caller) and not circuit.limited_s(now):
            return
        if circuit.state(now) == "half-open" and not circuit.rest_s(now):
            return await self._probe(key, expert)
        if (refusal := self.refusal(key, expert, caller)) is not None:
            raise refusal

    async def succeeded(self, key: str) -> None:
        """Close the circuit."""
        circuit = self.circuit(key)
        if circuit != circuit.succeeded():
            await self._change(key, Circuit.succeeded)

    async def forgiven(self, key: str) -> None:
        """Close the circuit and end a pause that the provider asked for, in all replicas."""
        await self._change(key, lambda _: Circuit())

    async def failed(self, key: str, caller: str = "") -> None:
        """Count a failure; a `caller` is given if its request may be the reason."""
        await self._change(key, lambda circuit: circuit.failed(self._clock(), self._rules, caller))

    async def rest(self, key: str, rest_s: float) -> None:
        """Pause the expert for this long, in all replicas."""
        await self._change(key, lambda circuit: circuit.limited(self._clock(), rest_s), rest_s)

    async def let_go(self, key: str) -> None:
        """A probe that ended without a verdict makes room for the next one."""
        if self.circuit(key).probed_until:
            await self._change(key, lambda circuit: replace(circuit, probed_until=0.0))

    def _read_soon(self, key: str) -> None:
        """Replace a copy that is no longer fresh, in the background."""
        if key in self._reads or 0 <= self._clock() - self._copies[key][1] <= FRESH_S:
            return
        with suppress(RuntimeError):  # outside the event loop the copy stays
            loop = asyncio.get_running_loop()
            task = self._reads[key] = loop.create_task(self._read(key), name="read a circuit")
            task.add_done_callback(lambda _: self._reads.pop(key))

    async def _read(self, key: str) -> None:
        with suppress(StateUnavailable):
            text = await self._state.get(_name(key))
            if text is not None:  # a state that was lost ends no rest
                self._keep(key, text)

    async def _probe(self, key: str, expert: str) -> None:
        """Become the one probe, if no other request of any replica is it."""
        mine = False

        def step(circuit: Circuit) -> Circuit:
            nonlocal mine
            now = self._clock()
            mine = circuit.state(now) != "open" and not circuit.rest_s(now)
            return circuit.probed(now, self._rules) if mine and circuit.opened else circuit

        await self._change(key, step)
        if not mine and (refusal := self.refusal(key, expert)) is not None:
            raise refusal

    async def _change(
        self, key: str, step: Callable[[Circuit], Circuit], rest_s: float = 0.0
    ) -> None:
        def text_step(text: str | None) -> str:
            return json.dumps(asdict(step(_circuit(text))))

        rest_s = max(rest_s, self.circuit(key).limited_s(self._clock()))
        ttl_s = 2 * self._rules.longest_rest_s + self._rules.probe_s + rest_s
        self._keep(key, await self._state.change(_name(key), text_step, ttl_s))

    def _keep(self, key: str, text: str | None) -> Circuit:
        circuit = _circuit(text)
        self._copies[key] = circuit, self._clock()
        return circuit


def _name(key: str) -> str:
    return f"breaker:{key}"


def _circuit(text: str | None) -> Circuit:
    if not text:
        return Circuit()
    told = json.loads(text)
    known = {name: told[name] for name in KNOWN if name in told}  # replicas may be newer
    return Circuit(**known | {"callers": tuple(told.get("callers", EVERYBODY))})
