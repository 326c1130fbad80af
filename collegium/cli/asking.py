"""Ask a registered expert from the command line: a probe, or a profile of its skills."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import asdict
from typing import Any

import numpy as np

from collegium.cli.local_service import some_service
from collegium.cli.service_client import open_registry, running_service
from collegium.errors import ExpertError, ProbeFailed
from collegium.evals.cells import fingerprint
from collegium.evals.collect import collect
from collegium.evals.endpoint import Endpoint
from collegium.evals.panels.aggregation import Aggregation
from collegium.experts.pool import Pool
from collegium.experts.registration import PROBE, Registration
from collegium.experts.roster import adapter_folder
from collegium.experts.specialists.tasks import TASKS
from collegium.experts.specialists.tasks.base import Task
from collegium.registry.expert import AGGREGATION
from collegium.settings import Settings, load_settings


async def probe_expert(name: str) -> dict[str, Any]:
    """Ask an expert to say hello, through the running service or from here."""
    settings = load_settings()
    async with AsyncExitStack() as stack:
        registry = await stack.enter_async_context(open_registry(settings))
        expert = await registry.get(name)
        service = await stack.enter_async_context(running_service(settings))
        if service is None:
            pool = Pool(
                {},
                timeout_s=settings.request_timeout_s,
                key_variables=settings.api_key_variables,
            )
            stack.push_async_callback(pool.aclose)
            return asdict(await Registration(registry, pool).probe(expert))
        answer = await service.call("POST", "/v1/chat/completions", {**PROBE, "model": name})
    latency_ms = answer["collegium"]["outcome"]["latency_ms"]
    text = answer["choices"][0]["message"]["content"]
    note = "answered its probe"
    return {
        "expert": name,
        "answered": True,
        "answer": text,
        "latency_ms": latency_ms,
        "note": note,
    }


async def profile_expert(name: str, shots: int) -> dict[str, float]:
    """Measure the share of right answers by skill and write it to the registry.

    The questions come from the validation split; levels are smoothed by one right and one wrong
    answer (Laplace), as a few shots say little.
    """
    settings = load_settings()
    measured: dict[str, Task] = {**TASKS, AGGREGATION: Aggregation(TASKS)}
    examples = [e for task in measured.values() for e in task.examples("validation", shots)]
    async with open_registry(settings) as registry:
        expert = await registry.get(name)
        stamp = fingerprint(expert, weights=adapter_folder(expert))
        log = settings.cache_dir / "profiles" / f"{name}.jsonl"
        async with some_service(settings) as url, endpoint(settings, url) as service:
            outcomes = await collect(
                service.ask, {name: stamp}, examples, measured, log, split="validation"
            )
        try:
            outcomes.require_complete()
        except ExpertError as exc:
            raise ProbeFailed(str(exc)) from exc
        tasks, right = np.array(outcomes.tasks), outcomes.scores[:, 0]
        levels = {
            task: round((float(right[tasks == task].sum()) + 1) / (shots + 2), 3)
            for task in measured
        }
        await registry.update(name, skills=levels)
    return levels


def endpoint(settings: Settings, url: str) -> Endpoint:
    """The API of a service as evaluations use it."""
    key = settings.api_key.get_secret_value() if settings.api_key else None
    return Endpoint(f"{url.rstrip('/')}/v1", api_key=key)
