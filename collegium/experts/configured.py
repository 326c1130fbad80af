"""Engines as the settings configure them: the embedded ones, and how many may be loaded at once."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collegium.errors import ProbeFailed, SetupError
from collegium.experts.embedded import BASE_GIB, BASE_MODEL
from collegium.experts.fleet import Fleet
from collegium.experts.memory import engine_gib
from collegium.experts.roster import ENGINE, GENERALIST, MIXTURE, SPARSE_ENGINE, SPARSE_MODEL
from collegium.experts.supervisor import Patience, Supervisor
from collegium.experts.token_policies import allowed
from collegium.experts.vllm import MOST_LORA_SLOTS, EngineSpec
from collegium.extras import ENGINE as ENGINE_MODULE
from collegium.extras import EXTRAS, require
from collegium.registry.engine import Engine
from collegium.settings import Settings

if TYPE_CHECKING:
    from collegium.experts.placement.live import Placer
    from collegium.experts.residency.live import Residents

log = logging.getLogger(__name__)


def configured_fleet(settings: Settings) -> Fleet:
    """Return all engines, none of them started.

    SetupError where the budget is too small for the embedded one, or its packages are missing.
    """
    if settings.embedded:
        _require_embedded(settings)
    specs = [embedded_spec(settings)] if settings.embedded else []
    placer = _placer(settings)
    if settings.ray_address is not None:
        residents = None
    elif placer is None:
        residents = _residents(settings, sum(engine_gib(s, file_gib=BASE_GIB) for s in specs))
    else:
        residents = _in_turn(settings, placer.budget_gib)
    if settings.embedded and settings.sparse:
        specs.append(sparse_spec(settings))
    supervised: Callable[[EngineSpec], Supervisor] = partial(supervise, settings)
    if settings.ray_address is not None:
        supervised = _supervised_on_ray(settings, settings.ray_address)
    return Fleet(
        supervised,
        settings.engine_python,
        *map(supervised, specs),
        residents=residents,
        placer=placer,
        several_tenants=has_callers(settings),
    )


def _require_embedded(settings: Settings) -> None:
    """Raise ExtraMissing if the embedded models can't be converted or their engine can't run."""
    elsewhere = settings.engine_python != Path(sys.executable)
    modules = [m for m in EXTRAS["embedded"].modules if not (elsewhere and m == ENGINE_MODULE)]
    require("embedded", "the embedded pool (--no-embedded leaves it out)", modules=modules)


def has_callers(settings: Settings) -> bool:
    """Whether several callers may share an engine: with `api_key` keys are added at any time."""
    return settings.api_key is not None


def embedded_spec(settings: Settings) -> EngineSpec:
    """The embedded pool's engine as it is run here."""
    python, port = settings.engine_python, settings.engine_port
    engine = embedded_engine(settings)
    return EngineSpec(engine, served_name=GENERALIST, python=python, port=port)


def sparse_spec(settings: Settings) -> EngineSpec:
    """Return the sparse mixture's engine; raise SetupError if its token policy can't be used."""
    given, policy = settings.sparse_token_policy, None
    if given is not None:
        try:
            policy = allowed(given, several_tenants=has_callers(settings))
        except ProbeFailed as exc:
            raise SetupError(f"sparse_token_policy: {exc}") from exc
    engine, python = sparse_engine(settings), settings.engine_python
    return EngineSpec(engine, served_name=MIXTURE, python=python, token_policy=policy)


def embedded_engine(settings: Settings, name: str = ENGINE) -> Engine:
    """An engine of the base model, with room for the specialists."""
    return _engine(settings, name, BASE_MODEL, lora_slots=MOST_LORA_SLOTS)


def sparse_engine(settings: Settings) -> Engine:
    """The sparse mixture's engine, without adapters."""
    policy = settings.sparse_token_policy
    return _engine(settings, SPARSE_ENGINE, SPARSE_MODEL, token_policy=policy)


def _engine(settings: Settings, name: str, model: str, **options: Any) -> Engine:
    """An engine of a model in the cache. Its size has the settings' bounds, not the API's."""
    return Engine.model_construct(
        name=name,
        model_path=str(settings.cache_dir / model),
        context=settings.engine_context,
        max_sequences=settings.engine_max_sequences,
        cache_gib=settings.engine_cache_gib,
        **options,
    )


def supervise(settings: Settings, spec: EngineSpec) -> Supervisor:
    """Return the supervisor of one engine."""
    return Supervisor(
        replace(spec, statistics_file=settings.data_dir / "engines" / f"{spec.name}.tokens.json"),
        settings.data_dir / "logs" / f"{spec.name}.log",
        start_timeout_s=settings.engine_start_timeout_s,
        patience=Patience(stall_s=settings.engine_stall_s),
    )


def _supervised_on_ray(settings: Settings, address: str) -> Callable[[EngineSpec], Supervisor]:
    """Return what makes the supervisors of engines whose replicas run on a Ray cluster."""
    require("ray", f"the Ray cluster '{address}'")
    from collegium.experts.replicas.ray_launcher import RayCluster, RayLauncher
    from collegium.experts.replicas.replicated import Replicated
    from collegium.experts.replicas.scaling import Bounds

    launcher = RayLauncher(RayCluster(address), cpus=settings.ray_engine_cpus)
    bounds = Bounds(settings.ray_min_replicas, settings.ray_max_replicas, settings.ray_idle_s)

    def one(spec: EngineSpec, log: Path) -> Supervisor:
        patience = Patience(stall_s=settings.engine_stall_s)
        timeout_s = settings.engine_start_timeout_s
        return Supervisor(
            spec, log, launcher=launcher, start_timeout_s=timeout_s, patience=patience
        )

    def all_of(spec: EngineSpec) -> Supervisor:
        log = settings.data_dir / "logs" / f"{spec.name}.log"
        return Replicated(spec, log, one, bounds=bounds)

    return all_of


def _residents(settings: Settings, always_gib: float) -> Residents | None:
    """Engines that take turns in the memory that those leave that always run."""
    if settings.engine_memory_gib is None:
        return None
    if always_gib > settings.engine_memory_gib:
        raise SetupError(
            f"engine_memory_gib={settings.engine_memory_gib:g} is too small: the embedded engine "
            f"takes about {always_gib:.2f} GiB of it (set more, or embedded = false)"
        )
    return _in_turn(settings, settings.engine_memory_gib - always_gib)


def _placer(settings: Settings) -> Placer | None:
    """Who gives engines their GPUs; None where there are none, and where Ray does."""
    if settings.ray_address is not None:
        if settings.engine_memory_gib is not None:
            log.warning("engine_memory_gib is not used: Ray places engines by its nodes' memory")
        return None
    from collegium.experts.placement.live import placer_here  # asks the driver

    placer = placer_here(settings.engine_python)
    if placer is not None and settings.engine_memory_gib is not None:
        log.warning("engine_memory_gib is not used: engines run on %d GPUs", len(placer.cards))
    return placer


def _in_turn(settings: Settings, budget_gib: float | Mapping[int, float]) -> Residents:
    """Engines that take turns in so much memory."""
    from collegium.experts.residency.foresight import Foresight
    from collegium.experts.residency.live import Residents  # where engines take turns

    # A request gives up after request_timeout_s: its engine has to come before that.
    policy = Foresight(patience_s=0.8 * settings.request_timeout_s)
    longest_load_s = 1.5 * settings.engine_start_timeout_s
    return Residents(budget_gib, policy, longest_load_s=longest_load_s)
