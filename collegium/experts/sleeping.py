"""Put a vLLM engine to sleep and wake it: its process stays, the device's memory is given back.

Read in vLLM 0.32: `entrypoints/serve/dev/sleep` and `/rpc` have the calls, which only a server in
development mode answers; `v1/worker/gpu_worker.py` does the work. Level 1 keeps the weights in the
host's memory, level 2 nowhere: they are read again from disk, and adapters are gone. The CPU
worker ignores both, and `ModelConfig` refuses `--enable-sleep-mode` on a CPU.
"""

from __future__ import annotations

from typing import Any

import httpx

SLEEP_TIMEOUT_S = 120.0
"""Weights are copied to the host's memory, or read from disk."""


async def put_to_sleep(base_url: str, secret: str, level: int) -> None:
    """Return when the device's memory is free; httpx.HTTPError where that fails."""
    await _call(base_url, secret, [("/sleep", {"level": str(level)}, None)])


async def wake(base_url: str, secret: str, level: int) -> None:
    """Return when the engine answers again; httpx.HTTPError where that fails."""
    if level == 1:
        return await _call(base_url, secret, [("/wake_up", {}, None)])
    reload = {"method": "reload_weights"}
    calls: list[tuple[str, dict[str, str], Any]] = [
        ("/wake_up", {"tags": "weights"}, None),  # memory for them, with nothing in it
        ("/collective_rpc", {}, reload),
        ("/wake_up", {"tags": "kv_cache"}, None),
    ]
    await _call(base_url, secret, calls)


async def _call(base_url: str, secret: str, calls: list[tuple[str, dict[str, str], Any]]) -> None:
    headers = {"Authorization": f"Bearer {secret}"}
    # Our own machine: never by way of the proxy that the environment may name.
    async with httpx.AsyncClient(
        base_url=base_url, headers=headers, timeout=SLEEP_TIMEOUT_S, trust_env=False
    ) as http:
        for path, query, body in calls:
            (await http.post(path, params=query, json=body)).raise_for_status()
