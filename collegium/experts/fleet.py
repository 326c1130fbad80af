"""All engines of this process, by name: embedded and registered ones."""

from __future__ import annotations

import asyncio
import logging
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from collegium.errors import ExpertUnavailable, ProbeFailed, SetupError
from collegium.experts.memory import ASLEEP_GIB, engine_gib
from collegium.experts.supervisor import USUAL_START_S, USUAL_WAKE_S, Status, Supervisor
from collegium.experts.token_policies import policy_for
from collegium.experts.vllm import EngineSpec
from collegium.extras import ENGINE, require
from collegium.registry.engine import Engine

if TYPE_CHECKING:
    from collegium.experts.placement.live import Placer
    from collegium.experts.residency.live import Residents
    from collegium.experts.residency.view import EngineCost

log = logging.getLogger(__name__)
DRAIN_S = 30.0
"""How long the engine of a removed expert may take to finish its answers."""


class Fleet(Mapping[str, Supervisor]):
    """Starts engines, and stops them when they are no longer registered."""

    def __init__(
        self,
        supervise: Callable[[EngineSpec], Supervisor],
        python: Path,
        *supervisors: Supervisor,
        residents: Residents | None = None,
        placer: Placer | None = None,
        several_tenants: bool = False,
    ) -> None:
        self.residents = residents
        self.placer = placer
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
        """Start an engine; if engines take turns, make it available."""
        if self._python == Path(sys.executable):
            require("embedded", f"engine '{engine.name}'", modules=(ENGINE,))
        policy = policy_for(engine, several_tenants=self._several_tenants)
        spec = EngineSpec(engine, python=self._python, token_policy=policy)
        supervisor = self._supervise(spec)
        try:
            await self.run(supervisor)
        except SetupError:
            if self.placer is not None:
                self.placer.forget(engine.name)
            raise
        self._supervisors[engine.name] = supervisor
        return supervisor

    async def run(self, supervisor: Supervisor) -> None:
        """Start an engine, or let it take turns; raise SetupError if it can never fit."""
        if self.placer is not None:
            supervisor.spec = await self.placer.placed(supervisor.spec)
        if self.residents is None or _stays(supervisor):
            await self._start(supervisor)
        else:
            self.residents.register(supervisor, cost_of(supervisor.spec))

    async def keep(self, supervisor: Supervisor) -> None:
        """Start an engine that takes no turns; raise SetupError if it can never fit."""
        if self.placer is not None:
            supervisor.spec = await self.placer.placed(supervisor.spec, always=True)
        await self._start(supervisor)

    async def _start(self, supervisor: Supervisor) -> None:
        placement = supervisor.spec.placement
        if placement is not None and self.residents is not None:
            self.residents.take(placement.cards, placement.gib)
        await supervisor.start()

    async def settled(self, name: str) -> Status:
        """Wait until an engine is ready or has failed; if engines take turns, wait for its turn."""
        if self.residents is None or name not in self.residents:
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
            elif self.residents is not None and (placement := supervisor.spec.placement):
                self.residents.take(placement.cards, -placement.gib)
            if self.placer is not None:
                self.placer.forget(name)

    async def replace(self, engine: Engine) -> None:
        """Restart a registered engine with other options, once it has finished its requests."""
        await self.end(engine.name, drain_s=DRAIN_S)
        await self.start(engine)
        self._registered[engine.name] = engine

    async def follow(self, engines: Iterable[Engine]) -> None:
        """Run the registered engines whose model is on this machine; stop all others.

        An engine that was started but is not registered yet is being probed, and is left alone.
        """
        wanted = {engine.name: engine for engine in engines if Path(engine.model_path).is_dir()}
        for name in [n for n, engine in self._registered.items() if wanted.get(n) != engine]:
            await self.end(name, drain_s=DRAIN_S)
        if self.placer is not None:
            new = [e for name, e in wanted.items() if name not in self._supervisors]
            await self.placer.expect(EngineSpec(engine) for engine in new)
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


def _stays(supervisor: Supervisor) -> bool:
    """Whether the engine has a share of its cards to itself."""
    placement = supervisor.spec.placement
    return placement is not None and placement.resident


def cost_of(spec: EngineSpec) -> EngineCost:
    """The number of concurrent requests is left to the dispatcher."""
    from collegium.experts.residency.view import EngineCost  # where engines take turns

    cost = EngineCost(engine_gib(spec), USUAL_START_S, at_once=sys.maxsize)
    if spec.placement is not None:
        cost = replace(cost, cards=spec.placement.cards)
    if not spec.engine.sleep_level:
        return cost
    return replace(cost, wake_s=USUAL_WAKE_S, asleep_gib=ASLEEP_GIB)


def check(engine: Engine) -> None:
    """Refuse engines that could not run: no model, weights in pickles, options that are not
    allowed."""
    folder = Path(engine.model_path)
    if not (folder / "config.json").is_file():
        raise ProbeFailed(f"'{folder}' is not a model folder: it has no config.json")
    if not any(folder.glob("*.safetensors")):
        raise ProbeFailed(
            f"'{folder}' has no .safetensors weights: pickles and GGUF files are not loaded"
        )
    from collegium.experts.engine_flags import refused_flags  # for those that register

    if refused := refused_flags(flags_of(engine)):
        words = "; ".join(f"{flag} ({why})" for flag, why in refused.items())
        raise ProbeFailed(f"these vLLM options are not allowed: {words}")


def flags_of(engine: Engine) -> list[str]:
    """Split an engine's `flags` into words; raise ProbeFailed if a quotation is never closed."""
    try:
        return shlex.split(engine.flags)
    except ValueError as exc:
        raise ProbeFailed(f"the options of vLLM can't be read: {exc}: {engine.flags}") from exc
