"""Many who misbehave at once: the others hardly notice, and the memory comes back."""

from __future__ import annotations

import asyncio
import gc
import time

import httpx
import psutil
import pytest

from tests.web.conftest import Web
from tests.web.test_connections import served

pytestmark = pytest.mark.slow
PARTS = '{"messages": [%s]}' % ",".join(["1"] * 500_000)  # noqa: UP031  the braces are JSON's
DEEP = "[" * 1_000_000
UNKNOWN = '{"messages": [], %s}' % ",".join(f'"{n}": 1' for n in range(49_000))  # noqa: UP031
LONGEST_S = 0.5
"""Twice the quarter of a second that is the goal: others use the cores of this machine."""


async def test_malformed_bodies_hold_nobody_up(web: Web) -> None:
    """Sixty of a megabyte, ten at a time, beside somebody who asks whether the service lives."""
    process, waits = psutil.Process(), [0.0]
    async with served(web, drain_s=1.0) as (url, _), httpx.AsyncClient(trust_env=False) as http:

        async def attack(body: str) -> None:
            headers = {"content-type": "application/json"}
            answer = await http.post(
                f"{url}/v1/chat/completions", content=body.encode(), headers=headers, timeout=60
            )
            assert answer.status_code in (400, 413)
            assert len(answer.content) < 5000

        async def look() -> None:
            async with httpx.AsyncClient(trust_env=False) as other:
                while True:
                    began = time.perf_counter()
                    assert (await other.get(f"{url}/healthz", timeout=60)).status_code == 200
                    waits.append(time.perf_counter() - began)
                    await asyncio.sleep(0.01)

        await attack(PARTS)
        gc.collect()
        before = process.memory_info().rss
        looking = asyncio.create_task(look())
        for _ in range(6):
            await asyncio.gather(*(attack(body) for body in (PARTS, DEEP, UNKNOWN) * 3))
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
        gc.collect()
        assert len(waits) > 5
        assert max(waits) < LONGEST_S
        assert process.memory_info().rss - before < 64 * 2**20
