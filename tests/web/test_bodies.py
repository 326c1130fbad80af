"""Bodies: compressed ones, and those that are too large together."""

from __future__ import annotations

import gzip
import json
import time
import zlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from collegium.web.body_limit import BodyLimit
from tests.web.access import code
from tests.web.conftest import Serve, Web, on_shared

CHAT = "/v1/chat/completions"
HELLO = json.dumps({"messages": [{"role": "user", "content": "sql 1"}]}).encode()
JSON = {"content-type": "application/json"}


def raw_deflate(data: bytes) -> bytes:
    """Without zlib's head, as some clients send it."""
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


PACKERS: dict[str, Any] = {
    "gzip": gzip.compress,
    "X-GZIP": gzip.compress,
    "deflate": zlib.compress,
    "deflate, raw": raw_deflate,
}


async def send(web: Web, content: Any, encoding: str, path: str = CHAT) -> Any:
    headers = {**JSON, "content-encoding": encoding}
    return await web.http.post(path, content=content, headers=headers)


@on_shared
@pytest.mark.parametrize("name", PACKERS)
@pytest.mark.parametrize("pieces", [1, 7])
async def test_a_compressed_body_is_read(shared: Web, name: str, pieces: int) -> None:
    """However it is cut."""
    packed = PACKERS[name](HELLO)
    size = -(-len(packed) // pieces)

    async def cut() -> AsyncIterator[bytes]:
        for start in range(0, len(packed), size):
            yield packed[start : start + size]

    answer = await send(shared, cut(), name.partition(",")[0])
    assert answer.json()["model"] == "sql"


@on_shared
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (HELLO, "it is damaged"),
        (gzip.compress(HELLO, mtime=0)[:-6], "it is truncated"),
        (gzip.compress(HELLO, mtime=0) + b"x", "follows its end"),
        (gzip.compress(b"{}", mtime=0) * 2, "follows its end"),
    ],
)
async def test_what_can_not_be_inflated_is_refused(shared: Web, content: bytes, words: str) -> None:
    """With what is wrong."""
    answer = await send(shared, content, "gzip")
    assert code(answer) == (400, "invalid_request")
    assert words in answer.json()["error"]["message"]


@on_shared
@pytest.mark.parametrize("encoding", ["zstd", "br", "gzip, gzip", "compress"])
async def test_other_encodings_are_named(shared: Web, encoding: str) -> None:
    """With those that can be read."""
    answer = await send(shared, HELLO, encoding)
    assert code(answer) == (415, "unsupported_encoding")
    assert "gzip or deflate" in answer.json()["error"]["message"]


async def test_a_bomb_is_refused_before_it_goes_off(serve: Serve) -> None:
    """A megabyte that would become a gigabyte: as soon as it is larger than a body may be."""
    packer = zlib.compressobj(wbits=31)
    bomb = b"".join(packer.compress(b" " * 2**20) for _ in range(1000)) + packer.flush()
    assert len(bomb) < 2**20
    async with serve(max_body_mib=2) as web:
        before = time.process_time()
        answer = await send(web, bomb, "gzip")
        took = time.process_time() - before
    assert code(answer) == (413, "body_too_large")
    assert "`max_body_mib`" in answer.json()["error"]["message"]
    assert took < 0.25


@on_shared
async def test_a_file_is_sent_as_it_is(shared: Web) -> None:
    """It has another limit, and is written as it comes."""
    answer = await send(shared, gzip.compress(HELLO, mtime=0), "gzip", "/v1/files")
    assert code(answer) == (400, "invalid_request")
    assert "Content-Encoding" in answer.json()["error"]["message"]


async def test_all_bodies_together_are_bounded() -> None:
    """Those of requests that are being answered count; afterwards there is room again."""
    answers: list[int] = []
    left = 3

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal left
        if left := left - 1:  # another request comes meanwhile
            await limit(scope_of(), body(40), told)
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def told(message: Any) -> None:
        if message["type"] == "http.response.start":
            answers.append(message["status"])

    limit = BodyLimit(app, most=50, most_held=100)
    await limit(scope_of(), body(40), told)
    assert answers == [503, 200, 200]
    left = 1
    await limit(scope_of(), body(50), told)
    assert answers[3:] == [200]


def scope_of() -> dict[str, Any]:
    return {"type": "http", "path": CHAT, "headers": []}


def body(size: int) -> Any:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"x" * size, "more_body": False}

    return receive
