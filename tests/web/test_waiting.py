"""Queues: who waits, who is refused at once, and who comes first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from tests.web.conftest import Serve, Web, until


@asynccontextmanager
async def kept_busy(web: Web) -> AsyncIterator[asyncio.Task[httpx.Response]]:
    """Inside, a request keeps the only slot of `sql`; at the end it is answered."""
    script = web.experts["sql"]
    script.waits = True
    first = asyncio.create_task(web.chat("sql 0", model="sql"))
    await until(lambda: script.asked)
    try:
        yield first
        script.go.set()
        assert (await first).status_code == 200
    finally:
        first.cancel()


async def waiting(web: Web, requests: int) -> None:
    """Return when so many wait for `sql`."""
    await until(lambda: web.parts.pool.dispatcher.waiting().get("sql") == requests)


async def test_a_full_queue_is_refused_at_once(serve: Serve) -> None:
    """429 with Retry-After, whole or streamed; where failover is allowed, another answers."""
    async with serve(remote_concurrency=1, queue_depth=1) as web:
        async with kept_busy(web):
            second = asyncio.create_task(web.chat("sql 1", model="sql"))
            await waiting(web, 1)
            assert (await web.metrics())['collegium_queue_depth{expert="sql"}'] == 1
            for stream in (False, True):
                full = await web.chat("sql 2", model="sql", stream=stream)
                assert full.status_code == 429
                assert int(full.headers["retry-after"]) >= 1
                error = full.json()["error"]
                assert (error["code"], error["type"]) == ("expert_busy", "rate_limit_error")
            other = await web.chat("sql 3", model="sql", routing={"failover": True})
            assert other.json()["model"] == "general"
        assert (await second).status_code == 200
        assert (await web.metrics())['collegium_queue_depth{expert="sql"}'] == 0


async def test_who_can_not_make_the_deadline_is_refused_at_once(serve: Serve) -> None:
    """As its queue and the answer itself are forecast; who has time waits."""
    async with serve(remote_concurrency=1) as web:
        pace = web.parts.pool.dispatcher.pace("sql")
        async with kept_busy(web):
            pace.served(3.0)  # as it usually takes
            routing: dict[str, Any] = {"max_latency_ms": 2000}
            late = await web.chat("sql 1", model="sql", routing=routing)
            assert (late.status_code, late.json()["error"]["code"]) == (429, "expert_busy")
            assert int(late.headers["retry-after"]) >= 1
            assert web.experts["sql"].left == 0
            patient = {"max_latency_ms": 60_000}
            second = asyncio.create_task(web.chat("sql 2", model="sql", routing=patient))
            await waiting(web, 1)
        outcome = (await second).json()["collegium"]["outcome"]
        assert 0 < outcome["waited_ms"] <= outcome["latency_ms"]


async def test_a_turn_that_does_not_come_by_the_deadline_is_refused(serve: Serve) -> None:
    """Nobody is asked in vain."""
    async with serve(remote_concurrency=1) as web, kept_busy(web):
        routing = {"max_latency_ms": 250}
        late = await web.chat("sql 1", model="sql", routing=routing, max_tokens=1)
        assert (late.status_code, late.json()["error"]["code"]) == (429, "expert_busy")
        assert len(web.experts["sql"].asked) == 1


KEYS = {"shop": "the-key-of-the-shop", "desk": "the-key-of-the-desk"}


async def ask(web: Web, caller: str, text: str, **routing: Any) -> httpx.Response:
    body = {"model": "sql", "messages": [{"role": "user", "content": text}], "routing": routing}
    headers = {"authorization": f"Bearer {KEYS[caller]}"}
    return await web.http.post("/v1/chat/completions", json=body, headers=headers)


async def test_callers_share_an_expert_and_priorities_order_their_own(serve: Serve) -> None:
    """A burst of one caller does not keep the other waiting to the end."""
    settings = {"api_key": "the-administrators-key", "caller_keys": KEYS}
    async with serve(remote_concurrency=1, **settings) as web:
        script = web.experts["sql"]
        script.waits = True
        tasks = [asyncio.create_task(ask(web, "shop", "sql 0"))]
        await until(lambda: script.asked)
        wanted = [
            *(("shop", f"sql shop-{n}", {}) for n in range(6)),
            ("shop", "sql background", {"priority": "background"}),
            ("desk", "sql desk", {}),
            ("shop", "sql urgent", {"priority": "urgent"}),
        ]
        for number, (caller, text, routing) in enumerate(wanted, start=1):
            tasks.append(asyncio.create_task(ask(web, caller, text, **routing)))
            await waiting(web, number)
        script.go.set()
        assert {answer.status_code for answer in await asyncio.gather(*tasks)} == {200}
    order = [call.body["messages"][0]["content"].split()[1] for call in script.asked[1:]]
    assert order[-1] == "background"
    assert order.index("urgent") < order.index("shop-0")
    assert order.index("desk") < 4


@pytest.mark.parametrize("mode", ["vote", "cascade"])
async def test_a_panel_waits_for_each_member(serve: Serve, mode: str) -> None:
    """Whoever has a slot begins; the panel is whole when all have had theirs."""
    async with serve(remote_concurrency=1) as web, kept_busy(web):
        routing = {"k": 2, "experts_allow": ["sql", "general"], "panel": {"threshold": 1.0}}
        panel = asyncio.create_task(web.chat("sql 1", model=f"collegium/{mode}", routing=routing))
        await waiting(web, 1)
        web.experts["sql"].go.set()
        calls = (await panel).json()["collegium"]["panel"]["calls"]
    assert {call["status"] for call in calls} == {"ok"}
