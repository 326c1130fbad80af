"""Budgets hold: two replicas, 200 requests at once, kills, clients that leave, broken upstreams.

PostgreSQL, Redis, the upstream and both replicas are real.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import signal
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from collegium.registry.storage.database import Database
from tests.running_service import RunningService, running_service
from tests.servers import postgres_server, redis_server
from tests.service.upstreams import ADMIN, billing, until

pytestmark = pytest.mark.slow
log = logging.getLogger(__name__)
ADA = "the-key-of-ada-1"
BUDGET = 0.02
"""Dollars: what about half of the requests may cost together."""
LEDGER = text(
    "SELECT COUNT(*), COALESCE(SUM(CAST(ROUND(COALESCE(o.cost_usd * 1e9, d.reserved_usd, 0)) AS"
    " BIGINT)), 0), COUNT(*) FILTER (WHERE o.decision_id IS NULL) FROM decisions d"
    " LEFT JOIN outcomes o ON o.decision_id = d.id WHERE d.owner = 'ada'"
)
"""Requests, nano-dollars, and requests without an outcome."""


def put(service: RunningService, path: str, body: Any, method: str = "PUT") -> Any:
    """Call as the operator."""
    headers = {"authorization": f"Bearer {ADMIN}"}
    answer = httpx.request(method, f"{service.url}{path}", json=body, headers=headers, timeout=60)
    assert answer.is_success, answer.text
    return answer.json()


def limits(service: RunningService) -> dict[str, Any]:
    """What is used of each limit, by metric."""
    return {each["metric"]: each for each in put(service, "/v1/budgets", None, "GET")["data"]}


async def one(http: httpx.AsyncClient, url: str, number: int) -> int:
    """One of many requests: whole or streamed, with or without `max_tokens`, left or broken."""
    chance = random.Random(number)
    body: dict[str, Any] = {
        "model": "a",
        "messages": [{"role": "user", "content": f"question {number}"}],
        "wants": chance.randrange(20, 200),
        "every_s": 0.005,
        "stream": chance.random() < 0.6,
        "aborts": chance.random() < 0.15,
    }
    if chance.random() < 0.5:
        body["max_tokens"] = chance.randrange(30, 150)
    leaves_s = chance.random() * 0.5 if chance.random() < 0.2 else 60.0
    headers = {"authorization": f"Bearer {ADA}"}
    try:
        async with asyncio.timeout(leaves_s):
            for _ in range(5):
                answer = await http.post(f"{url}/v1/chat/completions", json=body, headers=headers)
                if answer.status_code != 429:
                    break
                await asyncio.sleep(0.5 + chance.random())
            return answer.status_code
    except (TimeoutError, httpx.TransportError):
        return 0


async def storm(urls: list[str], numbers: range, kill: RunningService | None) -> Counter[int]:
    """So many requests at once; in the midst of them one replica is killed."""
    pool = httpx.Limits(max_connections=300)
    async with httpx.AsyncClient(timeout=120, limits=pool) as http:
        asked = [asyncio.create_task(one(http, urls[n % len(urls)], n)) for n in numbers]
        if kill is not None:
            await asyncio.sleep(1.0)
            kill.process.send_signal(signal.SIGKILL)
        return Counter(await asyncio.gather(*asked))


async def ledger(url: str) -> tuple[int, int, int]:
    """What the log says of ada's requests."""
    database = Database(url)
    async with database.session() as session:
        count, usd, unended = (await session.execute(LEDGER)).one()
    await database.close()
    return int(count), int(usd), int(unended)


def test_nothing_is_overspent_and_the_counters_are_the_ledger(tmp_path: Path) -> None:
    """To the nano-dollar, after every storm, also of the replica that was killed."""
    with ExitStack() as stack:
        redis = stack.enter_context(redis_server())
        postgres = stack.enter_context(postgres_server())
        upstream = stack.enter_context(billing())
        database = postgres.empty_database()
        settings = {
            "COLLEGIUM_EMBEDDED": "false",
            "COLLEGIUM_DATABASE_URL": database,
            "COLLEGIUM_REDIS_URL": redis.url,
            "COLLEGIUM_API_KEY": ADMIN,
            "COLLEGIUM_CALLER_KEYS": json.dumps({"ada": ADA}),
            "COLLEGIUM_REMOTE_CONCURRENCY": "200",
            "COLLEGIUM_BUDGET_FIELDS": json.dumps(["wants", "every_s", "aborts"]),
        }

        def start(name: str) -> RunningService:
            return stack.enter_context(running_service(tmp_path / name, **settings))

        first, second = start("one"), start("two")
        expert = {"name": "a", "kind": "openai", "base_url": upstream.url, "generalist": True}
        prices = {"input_price": 1.0, "output_price": 2.0}
        put(first, "/v1/experts", {**expert, **prices}, "POST")
        httpx.post(f"http://127.0.0.1:{upstream.port}/reset")
        limit = {"scope": "key", "name": "ada", "metric": "usd", "window": "total"}
        put(first, "/v1/budgets", {**limit, "amount": BUDGET})
        put(first, "/v1/budgets", {**limit, "metric": "tokens", "amount": 10**6})
        put(first, "/v1/budgets", {**limit, "metric": "parallel", "window": "", "amount": 150})
        until(lambda: limits(second).keys() == {"usd", "tokens", "parallel"})
        asyncio.run(asyncio.sleep(2.5))  # the second one follows within two seconds

        statuses: Counter[int] = Counter()
        for round_, victim in enumerate((None, second, None)):
            urls = [first.url, second.url]
            numbers = range(200 * round_, 200 * round_ + 200)
            statuses += asyncio.run(storm(urls, numbers, victim))
            if victim is not None:
                victim.process.wait()
                second = start("three")
            until(lambda: limits(first)["usd"]["reserved"] == 0, timeout_s=60)
            until(lambda: asyncio.run(ledger(database))[2] == 0, timeout_s=60)
            found = limits(first)
            _, usd, unended = asyncio.run(ledger(database))
            assert unended == 0
            assert round(found["usd"]["used"] * 1e9) == usd
            assert usd <= BUDGET * 1e9
            assert found["parallel"]["used"] == 0
        billed = upstream.stats()
        bill = billed["prompt_tokens"] + 2 * billed["completion_tokens"]
        log.info("%s; log %s USD, bill %s USD", dict(statuses), usd / 1e9, bill / 1e6)
        assert statuses[200] > 50
        assert statuses[402] > 20
        assert statuses.keys() <= {0, 200, 402, 429, 502}
        assert billed["unlimited"] == 0
        # Streams that were left are counted with what may have been in flight: without that, the
        # bill was 0.6 to 1.6 % above the log. With it and six busy processes on two cores, where an
        # upstream notices later than we assume, it was 0.7 %.
        assert bill <= 1.01 * usd / 1e3
