"""Send a trace's requests on schedule, whatever happens to earlier ones, and time each."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx
from tqdm import tqdm

from collegium.evals.load.trace import Arrival

READ_TIMEOUT_S = 300.0


@dataclass(frozen=True)
class Sent:
    """The result of one request; times in seconds, None if it didn't get that far."""

    status: int
    """HTTP's; 0 if no answer came at all."""
    ttft_s: float | None = None
    tpot_s: float | None = None
    latency_s: float | None = None
    waited_s: float | None = None
    """In the expert's queue, as the service says."""
    output_tokens: int = 0
    whole: bool = False
    """It ended with its end mark and no error."""


async def replay(
    url: str,
    arrivals: Sequence[Arrival],
    bodies: Sequence[dict[str, Any]],
    *,
    speed: float,
    key: str | None = None,
    label: str = "",
    progress: bool = True,
) -> tuple[list[Sent], float]:
    """Send each body at its arrival's time divided by `speed`; return all and the seconds taken.

    Open loop: a service that is slow gets no fewer requests for it.
    """
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    timeout = httpx.Timeout(READ_TIMEOUT_S, connect=30.0, pool=None)
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=64)
    async with httpx.AsyncClient(
        base_url=url, headers=headers, timeout=timeout, limits=limits
    ) as http:
        began = time.monotonic()
        with tqdm(total=len(bodies), unit="request", desc=label, disable=not progress) as bar:

            async def one(arrival: Arrival, body: dict[str, Any]) -> Sent:
                await asyncio.sleep(max(0.0, began + arrival.at_s / speed - time.monotonic()))
                sent = await _send(http, body)
                bar.update()
                return sent

            tasks = [
                asyncio.create_task(one(arrival, body))
                for arrival, body in zip(arrivals, bodies, strict=True)
            ]
            try:
                sent = await asyncio.gather(*tasks)
            finally:
                for task in tasks:
                    task.cancel()
    return list(sent), time.monotonic() - began


async def _send(http: httpx.AsyncClient, body: dict[str, Any]) -> Sent:
    clock = _Clock()
    try:
        async with http.stream("POST", "/v1/chat/completions", json=body) as response:
            async for line in response.aiter_lines():
                clock.hear(line)
            return clock.sent(response.status_code)
    except httpx.HTTPError:
        return clock.sent(0)


class _Clock:
    """Times one stream."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._first: float | None = None
        self._last: float | None = None
        self._outcome: dict[str, Any] = {}
        self._whole = False

    def hear(self, line: str) -> None:
        """Take one line of the stream."""
        if line == "data: [DONE]":
            self._whole = True
        if not line.startswith("data: {"):
            return
        chunk = json.loads(line.removeprefix("data: "))
        if any((choice.get("delta") or {}).get("content") for choice in chunk.get("choices", [])):
            self._last = time.monotonic()
            self._first = self._first or self._last
        self._outcome = (chunk.get("collegium") or {}).get("outcome") or self._outcome

    def sent(self, status: int) -> Sent:
        """All that was measured."""
        tokens = int(self._outcome.get("completion_tokens") or 0)
        waited_ms = self._outcome.get("waited_ms")
        if self._first is None or self._last is None:
            return Sent(status, latency_s=time.monotonic() - self._began, whole=self._whole)
        return Sent(
            status,
            ttft_s=self._first - self._began,
            tpot_s=(self._last - self._first) / (tokens - 1) if tokens > 1 else None,
            latency_s=time.monotonic() - self._began,
            waited_s=None if waited_ms is None else waited_ms / 1000,
            output_tokens=tokens,
            whole=self._whole,
        )
