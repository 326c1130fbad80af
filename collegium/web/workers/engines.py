"""The owner's engines, as a worker asks them: by their addresses, which the owner tells it."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from collegium.experts.fleet import Fleet
from collegium.experts.supervisor import Status, Supervisor
from collegium.experts.vllm import EngineSpec
from collegium.registry.engine import Engine
from collegium.web.workers.link import Link

EVERY_S = 0.25
"""Between two looks at the owner's engines."""


@dataclass(frozen=True)
class EngineState:
    """The configuration and the state of one of the owner's engines."""

    options: dict[str, Any]
    served_name: str | None
    secret: str
    status: Status
    incarnation: int
    draining: bool
    retry_after_s: int


class FollowedEngine(Supervisor):
    """An engine that another process runs."""

    def __init__(self, state: EngineState) -> None:
        engine = Engine.model_construct(**state.options)  # embedded ones pass the API's bounds
        spec = EngineSpec(engine, served_name=state.served_name, secret=state.secret)
        super().__init__(spec, Path(os.devnull))
        self._state = state

    def is_the_same(self, state: EngineState) -> bool:
        """Whether it is still the engine that it was, if in another state."""
        return state.secret == self._state.secret and state.options == self._state.options

    async def follow(self, state: EngineState) -> None:
        """Take over its state."""
        self._state = state
        self.incarnation, self._draining = state.incarnation, state.draining
        if state.status != self.status:
            await self._become(state.status)

    def retry_after_s(self) -> int:
        """The owner's guess at when the engine will answer, seconds."""
        return self._state.retry_after_s


class FollowedFleet(Fleet):
    """The owner's engines. The owner alone starts and stops any."""

    def __init__(self, link: Link) -> None:
        super().__init__(_never, Path(sys.executable))
        self._link = link

    async def follow(self, engines: Iterable[Engine]) -> None:
        """Do nothing: the owner runs what is registered."""

    async def stop(self) -> None:
        """Do nothing: others may still ask the engines."""

    async def look(self) -> None:
        """Tell what this worker asks of the engines, and take over their state."""
        asked = {name: engine.in_flight for name, engine in self.items()}
        found = msgspec.convert(await self._link.call("engines", asked), list[EngineState])
        names = {state.options["name"] for state in found}
        for name in [name for name in self._supervisors if name not in names]:
            del self._supervisors[name]
        for state in found:
            engine = self._supervisors.get(state.options["name"])
            if not isinstance(engine, FollowedEngine) or not engine.is_the_same(state):
                engine = self._supervisors[state.options["name"]] = FollowedEngine(state)
            await engine.follow(state)


def _never(spec: EngineSpec) -> Supervisor:
    """Refuse: a worker starts no engine."""
    raise NotImplementedError(f"a worker was to start the engine {spec.name}")


def state_of(engine: Supervisor) -> EngineState:
    """Return what a worker needs to know of an engine."""
    return EngineState(
        options=engine.spec.engine.model_dump(),
        served_name=engine.spec.served_name,
        secret=engine.spec.secret,
        status=engine.status,
        incarnation=engine.incarnation,
        draining=engine.draining,
        retry_after_s=engine.retry_after_s(),
    )


class AskedEngines:
    """The owner's engines, with the number of requests that workers have sent to each."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._asked: dict[str, Mapping[str, int]] = {}

    def look(self, worker: str, asked: Mapping[str, int]) -> Sequence[EngineState]:
        """Note what a worker asks now, and tell it of all engines."""
        self._asked[worker] = asked
        self._count()
        return [state_of(engine) for engine in self._fleet.values()]

    def leave(self, worker: str) -> None:
        """A worker is gone, and so are its requests."""
        self._asked.pop(worker, None)
        self._count()

    def _count(self) -> None:
        total: Counter[str] = Counter()
        for asked in self._asked.values():
            total.update(asked)
        for name, engine in self._fleet.items():
            engine.asked_elsewhere, engine.elsewhere_s = total[name], 2 * EVERY_S
