"""Memory comes back after an attack: large, malformed and slow requests, large answers, streams.

`ABUSE_S=300` in the environment attacks for five minutes instead of 15 seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import random
import time
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.running_service import RunningService
from tests.service.upstreams import ADMIN, billing, serving

pytestmark = pytest.mark.slow
log = logging.getLogger(__name__)
ATTACK_S = float(os.environ.get("ABUSE_S", "15"))
IDLE_S = 30.0
MOST_LEFT_MIB = 300.0
"""Above its level after a first round of everything, which may not meet the largest bodies:
allocators keep pages for them. Measured alone: 714 MiB before, at most 981, and 740 afterwards."""
CHAT = "/v1/chat/completions"
HEADERS = {"content-type": "application/json", "authorization": f"Bearer {ADMIN}"}
BROKEN: tuple[bytes, ...] = (
    b"{" * 100_000,
    b"[" * 200_000,
    b'{"messages": [{"role": "user", "content": "' + b"\xff\xfe" * 1000,
    b'{"max_tokens": ' + b"9" * 5000 + b"}",
    b'{"messages": ' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"}",
    b'"' + b"\\u0000" * 100_000 + b'"',
    zlib.compress(b" " * 30_000_000),
)


class Attack:
    """Attackers of several kinds, each at it until the time is over."""

    def __init__(self, service: RunningService, until: float) -> None:
        self.statuses: Counter[str] = Counter()
        self._url, self._until = service.url, until
        limits = httpx.Limits(max_connections=200)
        self._http = httpx.AsyncClient(base_url=service.url, timeout=60, limits=limits)

    @property
    def _headers(self) -> dict[str, str]:
        """Those of the next request."""
        return dict(HEADERS)

    async def run(self) -> None:
        """All kinds at once."""
        kinds = [(self.large, 2), (self.broken, 4), (self.slow, 30), (self.answers, 2)]
        kinds += [(self.streams, 20)]
        async with self._http:
            tasks = [self._again(kind) for kind, count in kinds for _ in range(count)]
            await asyncio.gather(*tasks)

    async def _again(self, kind: Callable[[], Awaitable[object]]) -> None:
        while time.monotonic() < self._until:
            try:
                self.statuses[f"{kind.__name__} {await kind()}"] += 1
            except (httpx.HTTPError, OSError, asyncio.IncompleteReadError) as exc:
                self.statuses[f"{kind.__name__} {type(exc).__name__}"] += 1
            await asyncio.sleep(0.01)

    async def large(self) -> int:
        """A body near the limit, or above it."""
        size = random.choice((5_000_000, 25_000_000, 40_000_000))
        body = json.dumps(asked("word " * (size // 5), wants=1)).encode()
        return (await self._http.post(CHAT, content=body, headers=self._headers)).status_code

    async def broken(self) -> int:
        """A body that is no request."""
        body, headers = random.choice(BROKEN), self._headers
        if body == BROKEN[-1]:
            headers["content-encoding"] = "deflate"
        return (await self._http.post(CHAT, content=body, headers=headers)).status_code

    async def slow(self) -> str:
        """A client that writes byte by byte, or that does not read its answer."""
        host = httpx.URL(self._url)
        _reader, writer = await asyncio.open_connection(host.host, host.port)
        try:
            body = json.dumps(asked("hello", wants=200_000, stream=True)).encode()
            said = "".join(f"{name}: {value}\r\n" for name, value in self._headers.items())
            said += f"host: localhost\r\ncontent-length: {len(body)}\r\n"
            writer.write(f"POST {CHAT} HTTP/1.1\r\n{said}\r\n".encode())
            if random.random() < 0.5:
                writer.write(body)
                await writer.drain()
                await asyncio.sleep(random.uniform(1, 8))
                return "unread"
            for byte in body[:40]:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0.1)
            return "trickled"
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def answers(self) -> int:
        """An answer of megabytes, whole."""
        body = asked("hello", wants=random.choice((500_000, 4_000_000)))
        return (await self._http.post(CHAT, json=body, headers=self._headers)).status_code

    async def streams(self) -> str:
        """A stream that is left in the middle, or read to its end."""
        leaves = random.random() < 0.5
        body = asked("hello", wants=300, every_s=0.002, stream=True)
        async with self._http.stream("POST", CHAT, json=body, headers=self._headers) as answer:
            async for _ in answer.aiter_bytes():
                if leaves:
                    return "left"
        return str(answer.status_code)


def asked(text: str, **fields: Any) -> dict[str, Any]:
    """A request to the upstream that bills."""
    return {"model": "a", "messages": [{"role": "user", "content": text}], **fields}


def rss_mib(service: RunningService) -> float:
    """The service's resident memory."""
    return float(psutil.Process(service.process.pid).memory_info().rss / 2**20)


async def attacked(service: RunningService, seconds: float) -> tuple[Counter[str], float]:
    """What became of an attack, and the most memory meanwhile."""
    attack = Attack(service, time.monotonic() + seconds)
    running, peak = asyncio.create_task(attack.run()), 0.0
    while not running.done():
        peak = max(peak, rss_mib(service))
        await asyncio.sleep(0.2)
    await running
    return attack.statuses, peak


def test_memory_comes_back_after_an_attack(tmp_path: Path) -> None:
    """Nothing unexpected fails meanwhile, and the service goes on as before."""
    with ExitStack() as stack:
        upstream = stack.enter_context(billing())
        service = stack.enter_context(serving(tmp_path, upstream, COLLEGIUM_API_KEY=ADMIN))
        start = rss_mib(service)
        asyncio.run(attacked(service, 8.0))
        time.sleep(10.0)
        before = rss_mib(service)
        statuses, peak = asyncio.run(attacked(service, ATTACK_S))
        time.sleep(IDLE_S)
        after = rss_mib(service)
        words = f"RSS at the start {start:.0f} MiB, after a first round {before:.0f}"
        words += f", peak {peak:.0f}, after {IDLE_S:.0f} s idle {after:.0f}; {dict(statuses)}"
        log.warning("%.0f s of attack: %s", ATTACK_S, words)
        assert not {status for status in statuses if status.split()[-1] == "500"}, words
        body = asked("hello", wants=3)
        answer = httpx.post(f"{service.url}{CHAT}", json=body, headers=HEADERS, timeout=30)
        assert answer.status_code == 200, answer.text
        assert after < before + MOST_LEFT_MIB, words
