"""All engines that this process runs, by name: the embedded one and those that are registered."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from collegium.errors import ExpertUnavailable, ProbeFailed, SetupError
from collegium.experts.memory import ASLEEP_GIB, engine_gib
from collegium.experts.supervisor import USUAL_START_S, USUAL_WAKE_S, Status, Supervisor
from collegium.experts.token_policies import policy_for
from collegium.experts.vllm import EngineSpec, refused_flags
from collegium.registry.engine import Engine

if TYPE_CHECKING:
    from collegium.experts.residency.live import Residents
    from collegium.experts.residency.view import EngineCost

log = logging.getLogger(__name__)
DRAIN_S = 30.0
"""An engine whose expert was removed may finish what it has, for so long."""


class Fleet(Mapping[str, Supervisor]):
    """Starts engines, and stops them when they are no longer registered."""

    def __init__(
        self,
        supervise: Callable[[EngineSpec], Supervisor],
        python: Path,
        *supervisors: Supervisor,
        residents: Residents | None = None,
        several_tenants: bool = False,
    ) -> None:
        self.residents = residents
        self._several_tenants = several_tenants
        self._supervise = supervise
        self._python = python
        self._supervisors = {supervisor.name: supervisor for supervisor in supervisors}
        self._registered: dict[str, Engine] = {}

    def __getitem__(self, name: str) -> Supervisor:
        return self._supervisors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._supervisors)

    def __len__(self) -> int:
        return len(self._supervisors)

    async def start(self, engine: Engine) -> Supervisor:
        """Run an engine, or have it ready to run where engines take turns."""
        policy = policy_for(engine, several_tenants=self._several_tenants)
        spec = EngineSpec(engine, python=self._python, token_policy=policy)
        supervisor = self._supervise(spec)
        await self.run(supervisor)
        self._supervisors[engine.name] = supervisor
        return supervisor

    async def run(self, supervisor: Supervisor) -> None:
        """Start it, or let it take turns with others; SetupError where it can never fit."""
        if self.residents is None:
            await supervisor.start()
        else:
            self.residents.register(supervisor, cost_of(supervisor.spec))

    async def settled(self, name: str) -> Status:
        """Return when an engine is ready or failed; where they take turns, in its turn."""
        if self.residents is None:
            return await self._supervisors[name].wait_settled()
        try:
            async with self.residents.hold(name) as supervisor:
                return supervisor.status
        except ExpertUnavailable as exc:
            return Status("failed", exc.whole, "")

    async def end(self, name: str, *, drain_s: float = 0.0) -> None:
        """Stop an engine and forget it."""
        self._registered.pop(name, None)
        supervisor = self._supervisors.get(name)
        if supervisor is not None:
            await supervisor.drain(drain_s)
            self._supervisors.pop(name, None)
            if self.residents is not None and name in self.residents:
                self.residents.dismiss(name)

    async def follow(self, engines: Iterable[Engine]) -> None:
        """Run the registered engines whose model is on this machine; end what no longer is one.

        An engine that was started and is not registered yet is on trial, and left alone.
        """
        wanted = {engine.name: engine for engine in engines if Path(engine.model_path).is_dir()}
        for name in [n for n, engine in self._registered.items() if wanted.get(n) != engine]:
            await self.end(name, drain_s=DRAIN_S)
        for name, engine in wanted.items():
            if name not in self._supervisors:
                try:
                    await self.start(engine)
                except (SetupError, ProbeFailed) as exc:  # too large; a policy not for tenants
                    log.error("engine %s is not run: %s", name, exc)
                    continue
            self._registered[name] = engine

    async def stop(self) -> None:
        """Stop all engines."""
        if self.residents is not None:
            await self.residents.aclose()
        await asyncio.gather(*(supervisor.stop() for supervisor in self._supervisors.values()))


def cost_of(spec: EngineSpec) -> EngineCost:
    """How many requests it answers together is the dispatcher's business."""
    from collegium.experts.residency.view import EngineCost  # where engines take turns

    cost = EngineCost(engine_gib(spec), USUAL_START_S, at_once=sys.maxsize)
    if not spec.engine.sleep_level:
        return cost
    return replace(cost, wake_s=USUAL_WAKE_S, asleep_gib=ASLEEP_GIB)


def check(engine: Engine) -> None:
    """Refuse what could not run: no model, weights in pickles, options that we don't pass on."""
    folder = Path(engine.model_path)
    if not (folder / "config.json").is_file():
        raise ProbeFailed(f"'{folder}' is no model's folder: it has no config.json")
    if not any(folder.glob("*.safetensors")):
        raise ProbeFailed(f"'{folder}' has no .safetensors weights (pickles are never loaded)")
    if refused := refused_flags(engine.flags.split()):
        raise ProbeFailed(f"these options of vLLM can't be given: {', '.join(refused)}")
