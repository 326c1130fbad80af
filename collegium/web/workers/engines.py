"""The owner's engines, as a worker asks them: by their addresses, which it is told."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from collegium.errors import StateUnavailable
from collegium.experts.fleet import Fleet
from collegium.experts.supervisor import Status, Supervisor
from collegium.experts.vllm import EngineSpec
from collegium.registry.engine import Engine
from collegium.web.workers.link import Link

EVERY_S = 0.25
"""Between two looks at the owner's engines."""


@dataclass(frozen=True)
class Told:
    """One engine, as the owner tells of it."""

    options: dict[str, Any]
    served_name: str | None
    secret: str
    status: Status
    incarnation: int
    draining: bool
    retry_after_s: int


class FollowedEngine(Supervisor):
    """An engine that another process runs."""

    def __init__(self, told: Told) -> None:
        engine = Engine.model_construct(**told.options)  # embedded ones pass the API's bounds
        spec = EngineSpec(engine, served_name=told.served_name, secret=told.secret)
        super().__init__(spec, Path(os.devnull))
        self._told = told

    def is_the_same(self, told: Told) -> bool:
        """Whether it is still the engine that it was, if in another state."""
        return told.secret == self._told.secret and told.options == self._told.options

    async def follow(self, told: Told) -> None:
        """Take over its state."""
        self._told = told
        self.incarnation, self._draining = told.incarnation, told.draining
        if told.status != self.status:
            await self._become(told.status)

    def retry_after_s(self) -> int:
        """The owner's guess at when the engine will answer, seconds."""
        return self._told.retry_after_s


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
        found = msgspec.convert(await self._link.call("engines", asked), list[Told])
        names = {told.options["name"] for told in found}
        for name in [name for name in self._supervisors if name not in names]:
            del self._supervisors[name]
        for told in found:
            engine = self._supervisors.get(told.options["name"])
            if not isinstance(engine, FollowedEngine) or not engine.is_the_same(told):
                engine = self._supervisors[told.options["name"]] = FollowedEngine(told)
            await engine.follow(told)

    async def run_looking(self) -> None:
        """Look again and again, until the owner is gone."""
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                await self.look()
            except StateUnavailable:
                return


def _never(spec: EngineSpec) -> Supervisor:
    """Refuse: a worker starts no engine."""
    raise NotImplementedError(f"a worker was to start the engine {spec.name}")


def told_of(engine: Supervisor) -> Told:
    """What the owner tells of an engine."""
    return Told(
        options=engine.spec.engine.model_dump(),
        served_name=engine.spec.served_name,
        secret=engine.spec.secret,
        status=engine.status,
        incarnation=engine.incarnation,
        draining=engine.draining,
        retry_after_s=engine.retry_after_s(),
    )


class AskedEngines:
    """The owner's side: engines have the requests of all workers, and tell all of themselves."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._asked: dict[str, Mapping[str, int]] = {}

    def look(self, worker: str, asked: Mapping[str, int]) -> Sequence[Told]:
        """Note what a worker asks now, and tell it of all engines."""
        self._asked[worker] = asked
        self._count()
        return [told_of(engine) for engine in self._fleet.values()]

    def leave(self, worker: str) -> None:
        """A worker is gone, and so are its requests."""
        self._asked.pop(worker, None)
        self._count()

    def _count(self) -> None:
        total: Counter[str] = Counter()
        for asked in self._asked.values():
            total.update(asked)
        for name, engine in self._fleet.items():
            engine.asked_elsewhere = total[name]
