"""An engine of several replicas, whose number follows its queue."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from collegium.errors import ExpertUnavailable
from collegium.experts.replicas.affinity import beginning, chosen
from collegium.experts.replicas.scaling import Bounds, Scaling
from collegium.experts.supervisor import Status, Supervisor
from collegium.experts.vllm import EngineSpec

log = logging.getLogger(__name__)
LOOK_S = 0.5
SUSPECT_S = 10.0
"""For how long a replica that has broken off an answer is avoided, unless it starts anew."""
LEAVE_S = 600.0
"""How long a replica that is no longer needed may finish its answers."""

Supervise = Callable[[EngineSpec, Path], Supervisor]


class Replicated(Supervisor):
    """Supervises the replicas of one engine, each of which is an engine with its own supervisor."""

    def __init__(
        self,
        spec: EngineSpec,
        log: Path,
        supervise: Supervise,
        *,
        bounds: Bounds,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(spec, log)
        self._make = supervise
        self._scaling = Scaling(bounds, spec.max_sequences)
        self._clock = clock
        self._members: dict[int, Supervisor] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._suspects: dict[Supervisor, tuple[int, float]] = {}
        """By replica: its incarnation, and until when it is avoided."""
        self._ready: frozenset[tuple[int, int]] = frozenset()
        self._ending = False

    @property
    def replicas(self) -> tuple[Supervisor, ...]:
        """The replicas that answer or start."""
        return tuple(self._members.values())

    @property
    def slots(self) -> int:
        """Those of the replicas that are ready; of one at least."""
        ready = sum(member.status.state == "ready" for member in self._members.values())
        return max(1, ready) * self.spec.max_sequences

    @property
    def most_slots(self) -> int:
        """Those of all replicas that there may be."""
        return self._scaling.bounds.most * self.spec.max_sequences

    async def start(self) -> None:
        """Start the least number of replicas, and follow the queue."""
        if self._task is not None and not self._task.done():
            return
        self._draining = self._ending = False
        self._since = time.monotonic()
        await self._become(Status("starting", "its replicas start", ""))
        await self._resize(self._scaling.bounds.least)
        self._task = asyncio.create_task(self._follow(), name=f"scale {self.name}")

    async def rest(self) -> None:
        """Stop: replicas do not sleep."""
        await self.stop()

    async def stop(self) -> None:
        """End all replicas."""
        self._ending = True
        await super().stop()
        for task in self._leaving:
            task.cancel()
        members = [*self._members.values()]
        self._members.clear()
        await asyncio.gather(*(member.stop() for member in members), *self._leaving,
                             return_exceptions=True)  # fmt: skip
        self._ready = frozenset()

    def seat(self, expert: str, body: Mapping[str, Any] | None = None) -> Supervisor:
        """The replica that has answered the conversation before, unless it is too busy."""
        self.require_ready(expert)
        ready = {n: m for n, m in self._members.items() if m.status.state == "ready"}
        if not ready:
            raise ExpertUnavailable(expert, f"its engine '{self.name}' has just been lost")
        trusted = {n: member for n, member in ready.items() if not self._is_suspect(member)}
        return chosen(beginning(body), trusted or ready)

    def has_another(self) -> bool:
        """Whether a replica is ready that has not just failed."""
        ready = (m for m in self._members.values() if m.status.state == "ready")
        return any(not self._is_suspect(member) for member in ready)

    @contextmanager
    def asked(self, seat: Supervisor | None = None) -> Iterator[None]:
        """Count a request at a replica, and avoid the replica for a while if it breaks off."""
        if seat is None:
            with super().asked():
                yield
            return
        incarnation = seat.incarnation
        with super().asked(), seat.asked():
            try:
                yield
            except ExpertUnavailable:
                self._suspects[seat] = incarnation, self._clock() + SUSPECT_S
                self.incarnation += 1  # the others bear no blame
                raise

    def _is_suspect(self, member: Supervisor) -> bool:
        incarnation, until = self._suspects.get(member, (0, 0.0))
        return incarnation == member.incarnation and self._clock() < until

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            running = len(self._members)
            await self._resize(self._scaling.wanted(self._clock(), self.wanted, running))

    async def _resize(self, wanted: int) -> None:
        while len(self._members) < wanted:
            await self._add()
        while len(self._members) > wanted:
            self._remove()

    async def _add(self) -> None:
        number = next(n for n in range(len(self._members) + 1) if n not in self._members)
        path = self.log.with_name(f"{self.log.stem}.{number}{self.log.suffix}")
        member = self._make(replace(self.spec, port=0), path)
        member.watch(self._note)
        self._members[number] = member
        log.info("engine %s starts replica %d", self.name, number)
        await member.start()

    def _remove(self) -> None:
        """End a replica that is not ready, or the idlest, when its answers have ended."""
        number = min(self._members, key=lambda n: self._rank(n, self._members[n]))
        member = self._members.pop(number)
        self._suspects.pop(member, None)
        log.info("engine %s ends replica %d", self.name, number)
        task = asyncio.create_task(self._leave(member), name=f"end {self.name} {number}")
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    @staticmethod
    def _rank(number: int, member: Supervisor) -> tuple[bool, int, int]:
        return member.status.state == "ready", member.in_flight, -number

    async def _leave(self, member: Supervisor) -> None:
        await self._note(member.status)
        try:
            await member.drain(LEAVE_S)
        finally:
            await member.stop()

    async def _note(self, _: Status) -> None:
        """A replica has changed: so may the engine."""
        ready = {n: m for n, m in self._members.items() if m.status.state == "ready"}
        present = frozenset((n, member.incarnation) for n, member in ready.items())
        if self._ending:
            return
        if present != self._ready:
            self._ready = present
            self.incarnation += 1
        await self._become(self._summary(ready))

    def _summary(self, ready: Mapping[int, Supervisor]) -> Status:
        if ready:
            first = ready[min(ready)].status
            many = len(self._members) > 1
            words = f"{len(ready)} of {len(self._members)} replicas are ready" if many else "ready"
            return replace(first, detail=words)
        states = [member.status for member in self._members.values()]
        return min(states, key=_hope, default=Status("stopped", "stopped", ""))


def _hope(status: Status) -> int:
    return ("starting", "failed", "stopped", "asleep").index(status.state)
