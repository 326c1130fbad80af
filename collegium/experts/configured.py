"""The engines as the settings want them: the embedded ones, and how many may be loaded at once."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from collegium.errors import ProbeFailed, SetupError
from collegium.experts.embedded import BASE_GIB, BASE_MODEL
from collegium.experts.fleet import Fleet
from collegium.experts.memory import engine_gib
from collegium.experts.roster import ENGINE, GENERALIST, MIXTURE, SPARSE_ENGINE, SPARSE_MODEL
from collegium.experts.supervisor import Patience, Supervisor
from collegium.experts.token_policies import allowed
from collegium.experts.vllm import MOST_LORA_SLOTS, EngineSpec
from collegium.registry.engine import Engine
from collegium.settings import Settings

if TYPE_CHECKING:
    from collegium.experts.residency.live import Residents


def configured_fleet(settings: Settings) -> Fleet:
    """All engines, none started; SetupError where the budget is too small for the embedded one."""
    specs = [embedded_spec(settings)] if settings.embedded else []
    residents = _residents(settings, sum(engine_gib(s, file_gib=BASE_GIB) for s in specs))
    if settings.embedded and settings.sparse:
        specs.append(sparse_spec(settings))
    supervised = partial(supervise, settings)
    return Fleet(
        supervised,
        settings.engine_python,
        *map(supervised, specs),
        residents=residents,
        several_tenants=bool(settings.caller_keys),
    )


def embedded_spec(settings: Settings) -> EngineSpec:
    """The embedded pool's engine as it is run here."""
    python, port = settings.engine_python, settings.engine_port
    engine = embedded_engine(settings)
    return EngineSpec(engine, served_name=GENERALIST, python=python, port=port)


def sparse_spec(settings: Settings) -> EngineSpec:
    """The sparse mixture's engine as it is run here; SetupError where its policy can't be had."""
    given, policy = settings.sparse_token_policy, None
    if given is not None:
        try:
            policy = allowed(given, several_tenants=bool(settings.caller_keys))
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
    """One engine's supervisor."""
    return Supervisor(
        replace(spec, statistics_file=settings.data_dir / "engines" / f"{spec.name}.tokens.json"),
        settings.data_dir / "logs" / f"{spec.name}.log",
        start_timeout_s=settings.engine_start_timeout_s,
        patience=Patience(stall_s=settings.engine_stall_s),
    )


def _residents(settings: Settings, always_gib: float) -> Residents | None:
    """Engines that take turns in the memory that those leave that always run."""
    if settings.engine_memory_gib is None:
        return None
    if always_gib > settings.engine_memory_gib:
        raise SetupError(
            f"engine_memory_gib={settings.engine_memory_gib:g} is too small: the embedded engine "
            f"takes about {always_gib:.2f} GiB of it (set more, or embedded = false)"
        )
    from collegium.experts.residency.foresight import Foresight
    from collegium.experts.residency.live import Residents  # where engines take turns

    # A request gives up after request_timeout_s: its engine has to come before that.
    policy = Foresight(patience_s=0.8 * settings.request_timeout_s)
    longest_load_s = 1.5 * settings.engine_start_timeout_s
    return Residents(settings.engine_memory_gib - always_gib, policy, longest_load_s=longest_load_s)
