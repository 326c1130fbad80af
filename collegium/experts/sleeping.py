"""Put vLLM engines to sleep and wake them: the process stays, the device's memory is released.

This follows vLLM 0.32: `entrypoints/serve/dev/sleep` and `/rpc` define the calls, which only a
server in development mode answers; `v1/worker/gpu_worker.py` does the work. Level 1 keeps the
weights in the host's memory. Level 2 does not: they are read from disk again, and adapters are
lost. The CPU worker ignores both, and `ModelConfig` refuses `--enable-sleep-mode` on a CPU. The
engine's answer is verified: NVML reports how much memory its processes still have.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import httpx

from collegium.experts.process import group_of
from collegium.experts.vllm import EngineSpec

log = logging.getLogger(__name__)

MOST_ASLEEP_GIB = 2.0
"""On each card; an engine that keeps more has not released its memory. Twice the estimate."""
MOST_GROWN_GIB = 1.0
"""On each card, beyond its share in the plan; an engine that has grown by more leaks memory."""
FREED_WITHIN_S = 5.0
"""The driver frees memory shortly after the engine has answered."""
LOOK_S = 0.2
SLEEP_TIMEOUT_S = 120.0
"""Timeout: weights are copied to the host's memory, or read from disk."""


async def put_to_sleep(base_url: str, secret: str, level: int) -> None:
    """Return when the device's memory is free; raise httpx.HTTPError if that fails."""
    await _call(base_url, secret, [("/sleep", {"level": str(level)}, None)])


async def wake(base_url: str, secret: str, level: int) -> None:
    """Return when the engine answers again; raise httpx.HTTPError if that fails."""
    if level == 1:
        return await _call(base_url, secret, [("/wake_up", {}, None)])
    reload = {"method": "reload_weights"}
    calls: list[tuple[str, dict[str, str], Any]] = [
        ("/wake_up", {"tags": "weights"}, None),  # memory for them, with nothing in it
        ("/collective_rpc", {}, reload),
        ("/wake_up", {"tags": "kv_cache"}, None),
    ]
    await _call(base_url, secret, calls)


async def has_freed(spec: EngineSpec, pid: int | None) -> bool:
    """Whether a sleeping engine has released its cards' memory, according to NVML.

    True if that is unknown: without a GPU, or if the driver reports no sizes, as in many
    containers.
    """
    deadline = time.monotonic() + FREED_WITHIN_S
    while (held := await asyncio.to_thread(_gib_a_card, spec, pid)) is not None:
        if held <= MOST_ASLEEP_GIB:
            return True
        if time.monotonic() >= deadline:
            log.warning("engine %s sleeps and keeps %.1f GiB of each card", spec.name, held)
            return False
        await asyncio.sleep(LOOK_S)
    return True


async def has_grown(spec: EngineSpec, pid: int | None) -> bool:
    """Whether an engine that woke uses more than its share of its cards; False if unknown."""
    held = await asyncio.to_thread(_gib_a_card, spec, pid)
    if spec.placement is None or held is None or held <= spec.placement.gib + MOST_GROWN_GIB:
        return False
    words = "engine %s woke and takes %.1f GiB of each card instead of %.1f"
    log.warning(words, spec.name, held, spec.placement.gib)
    return True


def _gib_a_card(spec: EngineSpec, pid: int | None) -> float | None:
    from collegium.experts.placement.nvml import used_gib

    if spec.placement is None or pid is None:
        return None
    used = used_gib(group_of(pid))
    return None if used is None else used / len(spec.placement.cards)


async def _call(base_url: str, secret: str, calls: list[tuple[str, dict[str, str], Any]]) -> None:
    headers = {"Authorization": f"Bearer {secret}"}
    # Our own machine: never by way of the proxy that the environment may name.
    async with httpx.AsyncClient(
        base_url=base_url, headers=headers, timeout=SLEEP_TIMEOUT_S, trust_env=False
    ) as http:
        for path, query, body in calls:
            (await http.post(path, params=query, json=body)).raise_for_status()
