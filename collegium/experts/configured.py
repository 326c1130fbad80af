"""The engines as the settings want them: the embedded ones, and how many may be loaded at once."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from typing import Any

from collegium.errors import ProbeFailed, SetupError
from collegium.experts.embedded import BASE_GIB, BASE_MODEL
from collegium.experts.fleet import Fleet
from collegium.experts.memory import engine_gib
from collegium.experts.residency.foresight import Foresight
from collegium.experts.residency.live import Residents
from collegium.experts.roster import ENGINE, GENERALIST
from collegium.experts.sparse.engine import MIXTURE, SPARSE_ENGINE
from collegium.experts.sparse.model import SPARSE_MODEL
from collegium.experts.supervisor import Patience, Supervisor
from collegium.experts.token_policies import allowed
from collegium.experts.vllm import EngineSpec
from collegium.settings import Settings


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
    """The engine of the embedded pool."""
    return configured_spec(settings, ENGINE, BASE_MODEL, GENERALIST, port=settings.engine_port)


def sparse_spec(settings: Settings) -> EngineSpec:
    """The sparse mixture's engine, without adapters; SetupError where its policy can't be had."""
    given, policy = settings.sparse_token_policy, None
    if given is not None:
        try:
            policy = allowed(json.dumps(given), several_tenants=bool(settings.caller_keys))
        except ProbeFailed as exc:
            raise SetupError(f"sparse_token_policy: {exc}") from exc
    return configured_spec(
        settings, SPARSE_ENGINE, SPARSE_MODEL, MIXTURE, lora_slots=0, token_policy=policy
    )


def configured_spec(
    settings: Settings, name: str, model: str, served_name: str, **options: Any
) -> EngineSpec:
    """An engine of a model in the cache, as large as the settings say; options are the spec's."""
    return EngineSpec(
        name,
        settings.cache_dir / model,
        served_name,
        python=settings.engine_python,
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
    # A request gives up after request_timeout_s: its engine has to come before that.
    policy = Foresight(patience_s=0.8 * settings.request_timeout_s)
    longest_load_s = 1.5 * settings.engine_start_timeout_s
    return Residents(settings.engine_memory_gib - always_gib, policy, longest_load_s=longest_load_s)
