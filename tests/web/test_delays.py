"""Nobody's request waits more than a quarter of a second for another one that is malformed."""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from tests.web.conftest import Web, on_shared

SIZE = 32 * 2**20 - 200
"""A little less than `max_body_mib`."""
MOST_S = 0.25
START, END = b'{"messages": [{"role": "user", "content": "', b'"}]}'
BODIES: dict[str, Callable[[], bytes]] = {
    "no end": lambda: START + b"a" * SIZE,
    "escapes without an end": lambda: START + b'\\"' * (SIZE // 2),
    "commas in a string": lambda: START + b"," * SIZE + b'"}]',
    "commas and escapes": lambda: START + b',\\"' * (SIZE // 3) + b'"}]',
    "half a pair, and escapes": lambda: START + b"\\ud83d" + b'\\"' * (SIZE // 2 - 9) + END,
    "half a character": lambda: START + b"a" * SIZE + b"\xff" + END,
    "values": lambda: b'{"messages": [' + b"1," * (SIZE // 2) + b"1]}",
    "strings": lambda: b'{"messages": [' + b'"a",' * (SIZE // 4) + b"1]}",
    "objects": lambda: b'{"messages": [' + b"{}," * 49_000 + b"1]}",
    "brackets": lambda: b"[" * SIZE,
    "quotes": lambda: b'"' * SIZE,
    "no text": lambda: START + b" " * SIZE + END,
    "a part of another kind": lambda: b'{"messages": "' + b"a" * SIZE + b'"}',
}


@asynccontextmanager
async def longest_turn(found: list[float]) -> AsyncIterator[None]:
    """Measures how long the event loop's thread computes between two turns of another task.

    Its own time is measured and not the clock's: the machine has other things to do.
    """

    async def watch() -> None:
        last = time.thread_time()
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            found.append(now - last)
            last = now

    task = asyncio.create_task(watch())
    try:
        yield
    finally:
        task.cancel()


@on_shared
@pytest.mark.slow
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions", "/v1/experts"])
@pytest.mark.parametrize("name", BODIES)
async def test_no_malformed_body_holds_up_others(shared: Web, path: str, name: str) -> None:
    """As large as it may be."""
    body, turns = BODIES[name](), [0.0]
    headers = {"content-type": "application/json"}
    async with longest_turn(turns):
        answer = await shared.http.post(path, content=body, headers=headers)
    assert 400 <= answer.status_code < 500
    assert len(answer.content) < 5000
    assert max(turns) < MOST_S


@on_shared
async def test_no_bomb_holds_up_others(shared: Web) -> None:
    """Thirty megabytes are inflated in steps."""
    packer = zlib.compressobj(wbits=31)
    bomb = b"".join(packer.compress(b" " * 2**20) for _ in range(1000)) + packer.flush()
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    turns = [0.0]
    async with longest_turn(turns):
        answer = await shared.http.post("/v1/route", content=bomb, headers=headers)
    assert answer.status_code == 413
    assert max(turns) < MOST_S
