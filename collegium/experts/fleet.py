"""All engines that this process runs, by name: the embedded one and those that are described."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from collegium.errors import ExpertUnavailable, ProbeFailed, SetupError
from collegium.experts.memory import ASLEEP_GIB, engine_gib
from collegium.experts.residency.live import Residents
from collegium.experts.residency.view import EngineCost
from collegium.experts.supervisor import USUAL_START_S, USUAL_WAKE_S, Status, Supervisor
from collegium.experts.token_policies import policy_for
from collegium.experts.vllm import EngineSpec, fastest_dtype, refused_flags
from collegium.kernels.token_policy import TokenPolicy
from collegium.registry.engines import EngineDescription

log = logging.getLogger(__name__)
DRAIN_S = 30.0
"""An engine whose expert was removed may finish what it has, for so long."""


class Fleet(Mapping[str, Supervisor]):
    """Starts engines, and stops them when their descriptions are gone."""

    def __init__(
        self,
        supervise: Callable[[EngineSpec], Supervisor],
        python: Path,
        *engines: Supervisor,
        residents: Residents | None = None,
        several_tenants: bool = False,
    ) -> None:
        self.residents = residents
        self._several_tenants = several_tenants
        self._supervise = supervise
        self._python = python
        self._engines = {engine.name: engine for engine in engines}
        self._described: dict[str, EngineDescription] = {}

    def __getitem__(self, name: str) -> Supervisor:
        return self._engines[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._engines)

    def __len__(self) -> int:
        return len(self._engines)

    async def start(self, description: EngineDescription) -> Supervisor:
        """Run an engine, or have it ready to run where engines take turns."""
        policy = policy_for(description, several_tenants=self._several_tenants)
        engine = self._supervise(spec_of(description, self._python, policy))
        await self.run(engine)
        self._engines[description.name] = engine
        return engine

    async def run(self, engine: Supervisor) -> None:
        """Start it, or let it take turns with others; SetupError where it can never fit."""
        if self.residents is None:
            await engine.start()
        else:
            self.residents.admit(engine, cost_of(engine.spec))

    async def settled(self, name: str) -> Status:
        """Return when a described engine is ready or failed; where they take turns, in its turn."""
        if self.residents is None:
            return await self._engines[name].wait_settled()
        try:
            async with self.residents.hold(name) as engine:
                return engine.status
        except ExpertUnavailable as exc:
            return Status("failed", str(exc), "")

    async def end(self, name: str, *, drain_s: float = 0.0) -> None:
        """Stop an engine and forget it."""
        self._described.pop(name, None)
        engine = self._engines.get(name)
        if engine is not None:
            await engine.drain(drain_s)
            self._engines.pop(name, None)
            if self.residents is not None and name in self.residents:
                self.residents.dismiss(name)

    async def follow(self, descriptions: Iterable[EngineDescription]) -> None:
        """Run what is described and whose model is on this machine; end what no longer is.

        An engine that was started and is not described yet is on trial, and left alone.
        """
        wanted = {d.name: d for d in descriptions if Path(d.model_path).is_dir()}
        for name in [n for n, d in self._described.items() if wanted.get(n) != d]:
            await self.end(name, drain_s=DRAIN_S)
        for name, description in wanted.items():
            if name not in self._engines:
                try:
                    await self.start(description)
                except (SetupError, ProbeFailed) as exc:  # too large; a policy not for tenants
                    log.error("engine %s is not run: %s", name, exc)
                    continue
            self._described[name] = description

    async def stop(self) -> None:
        """Stop all engines."""
        if self.residents is not None:
            await self.residents.aclose()
        await asyncio.gather(*(engine.stop() for engine in self._engines.values()))


def spec_of(
    engine: EngineDescription, python: Path, policy: TokenPolicy | None = None
) -> EngineSpec:
    """What the supervisor needs to know; the engine serves its model under its own name."""
    return EngineSpec(
        engine.name,
        Path(engine.model_path),
        engine.name,
        python=python,
        dtype=engine.dtype or fastest_dtype(),
        context=engine.context,
        max_sequences=engine.max_sequences,
        cache_gib=engine.cache_gib,
        lora_slots=engine.lora_slots,
        device=engine.device,
        flags=tuple(engine.flags.split()),
        sleep_level=engine.sleep_level,
        token_policy=policy,
    )


def cost_of(spec: EngineSpec) -> EngineCost:
    """How many requests it answers together is the dispatcher's business."""
    cost = EngineCost(engine_gib(spec), USUAL_START_S, at_once=sys.maxsize)
    if not spec.sleep_level:
        return cost
    return replace(cost, wake_s=USUAL_WAKE_S, asleep_gib=ASLEEP_GIB)


def check(engine: EngineDescription) -> None:
    """Refuse what could not run: no model, weights in pickles, options that we don't pass on."""
    folder = Path(engine.model_path)
    if not (folder / "config.json").is_file():
        raise ProbeFailed(f"'{folder}' is no model's folder: it has no config.json")
    if not any(folder.glob("*.safetensors")):
        raise ProbeFailed(f"'{folder}' has no .safetensors weights (pickles are never loaded)")
    if refused := refused_flags(engine.flags.split()):
        raise ProbeFailed(f"these options of vLLM can't be given: {', '.join(refused)}")
