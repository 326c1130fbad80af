"""Requests that no expert answers count for the limits of their key and their team."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import httpx
import pytest

from collegium.web.serving.embedder import Embedded, Embedder
from tests.web.access import HELLO
from tests.web.conftest import Serve, Web, until
from tests.web.keyed import Keyed, code, keyed

HI = [{"role": "user", "content": "sql 1"}]
WAYS = {
    "/v1/embeddings": {"input": "sql 1"},
    "/v1/route": HELLO,
    "/v1/messages/count_tokens": {"messages": HI},
    "/v1/responses/input_tokens": {"input": "sql 1"},
}


@pytest.fixture
async def service(serve: Serve) -> AsyncIterator[Keyed]:
    """A service with teams and keys."""
    async with keyed(serve) as service:
        yield service


async def limit(service: Keyed, scope: str, name: str, metric: str, amount: int) -> None:
    body = {"scope": scope, "name": name, "metric": metric, "amount": amount}
    body |= {"window": "" if metric == "parallel" else "hour"}
    answer = await service.send("api_key", "PUT", "/v1/budgets", json=body)
    assert answer.status_code == 200, answer.text


async def used(service: Keyed, metric: str) -> Any:
    await service.web.parts.background.finish()
    found = (await service.send("api_key", "GET", "/v1/budgets")).json()["data"]
    return {each["metric"]: each for each in found}[metric]["used"]


async def send(service: Keyed, path: str, who: str = "anna") -> httpx.Response:
    return await service.send(who, "POST", path, json=WAYS[path])


@pytest.mark.parametrize("path", WAYS)
@pytest.mark.parametrize(("scope", "name"), [("key", "anna"), ("team", "search")])
async def test_they_count_as_requests(service: Keyed, path: str, scope: str, name: str) -> None:
    """The answer says what is left; a further one is refused until the window ends."""
    await limit(service, scope, name, "requests", 2)
    answer = await send(service, path)
    assert answer.status_code == 200
    assert answer.headers["x-ratelimit-remaining-requests"] == "1"
    assert (await service.ask("anna")).status_code == 200
    refused = await send(service, path)
    assert code(refused)[0] == 429 if "messages" not in path else refused.status_code == 429
    assert int(refused.headers["retry-after"]) > 0
    assert await used(service, "requests") == 2
    assert (await send(service, path, "ben")).status_code == 200


@pytest.mark.parametrize("path", WAYS)
async def test_they_count_as_requests_in_flight(service: Keyed, path: str) -> None:
    """An answer under way takes the only place; it is free again after each of them."""
    await limit(service, "key", "anna", "parallel", 1)
    for _ in range(2):
        assert (await send(service, path)).status_code == 200
    script = service.web.experts["sql"]
    script.waits = True
    answering = asyncio.create_task(service.ask("anna", model="sql"))
    await until(lambda: script.asked)
    assert (await send(service, path)).status_code == 429
    script.go.set()
    assert (await answering).status_code == 200
    await service.web.parts.background.finish()
    assert (await send(service, path)).status_code == 200


class SlowEmbedder(Embedder):
    """Waits until it may go on."""

    def __init__(self, web: Web) -> None:
        super().__init__(web.parts.router)
        self.asked, self.go = 0, asyncio.Event()

    async def embed(self, texts: Sequence[str]) -> Embedded:
        self.asked += 1
        await self.go.wait()
        return await super().embed(texts)


async def test_embeddings_are_in_flight_until_they_are_made(service: Keyed) -> None:
    """And the log, which counters are made from when they are lost, knows their team."""
    web = service.web
    await limit(service, "team", "search", "parallel", 1)
    await limit(service, "team", "search", "tokens", 1000)
    slow = SlowEmbedder(web)
    web.app.state.parts = replace(web.parts, embedder=slow)
    answering = asyncio.create_task(send(service, "/v1/embeddings"))
    await until(lambda: slow.asked)
    assert (await service.ask("lead")).status_code == 429
    slow.go.set()
    answer = await answering
    tokens = answer.json()["usage"]["total_tokens"]
    assert await used(service, "tokens") == tokens > 0
    logged = await web.parts.log.get(answer.headers["x-collegium-decision-id"])
    assert logged.decision.team == "search"


@pytest.mark.parametrize("path", ["/v1/route", "/v1/messages/count_tokens"])
async def test_what_takes_no_tokens_needs_none(service: Keyed, path: str) -> None:
    """Where a limit of tokens is used up, decisions and counts go on."""
    assert (await service.ask("anna")).status_code == 200
    await service.web.parts.background.finish()
    await limit(service, "key", "anna", "tokens", 1)
    assert (await service.ask("anna")).status_code == 429
    assert (await send(service, path)).status_code == 200
