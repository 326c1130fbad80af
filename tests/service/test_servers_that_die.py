"""Redis and PostgreSQL die under a service and come back."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.running_service import RunningService
from tests.servers import postgres_server, redis_server
from tests.service.upstreams import ask, asking, serving, until, upstream

pytestmark = pytest.mark.slow


def test_a_redis_that_dies_and_comes_back_loses_no_request(tmp_path: Path) -> None:
    """Two replicas share the slots while it lives; each goes on alone while it does not."""
    with redis_server() as redis, upstream() as a:
        settings = {"COLLEGIUM_REDIS_URL": redis.url, "COLLEGIUM_REMOTE_CONCURRENCY": "4"}
        with (
            serving(tmp_path / "one", a, **settings) as one,
            serving(tmp_path / "two", a, **settings) as two,
        ):
            assert asyncio.run(many([one, two], "shared", 40)) == {200: 40}
            assert a.stats()["most"] <= 4
            redis.process.kill()
            redis.process.wait()
            assert asyncio.run(many([one, two], "alone", 40)) == {200: 40}
            with redis_server(redis.port):
                time.sleep(5.5)
                assert asyncio.run(many([one, two], "again", 40)) == {200: 40}
            log = (tmp_path / "one" / "serve.log").read_text()
            # Told once each time, not with every request; a busy machine may be late once more.
            lost, back = log.count("going on without shared state"), log.count("state is back")
            assert 1 <= lost == back < 4
        assert max(a.stats()["asked"].values()) == 1


def test_a_postgresql_that_dies_and_comes_back_is_told_and_nothing_is_repeated(
    tmp_path: Path,
) -> None:
    """While it is away requests are refused, for no decision could be kept; then it goes on.

    An answer that was under way is given, and what came of it is written when it is back.
    """
    with postgres_server() as postgres, upstream() as a:
        settings = {"COLLEGIUM_DATABASE_URL": postgres.empty_database()}
        with serving(tmp_path, a, **settings) as service:
            before = ask(service, "before").json()["collegium"]["decision"]["id"]
            until(lambda: outcome(service, before) is not None)
            with ThreadPoolExecutor() as other:
                answering = other.submit(ask, service, "meanwhile", first_s=3.0)
                until(lambda: "meanwhile" in a.stats()["asked"])
                postgres.process.kill()
                postgres.process.wait()
                meanwhile = answering.result()
            assert meanwhile.status_code == 200
            started = time.monotonic()
            refused = ask(service, "away")
            assert time.monotonic() - started < 20
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
            assert refused.json()["error"]["code"] == "database_unavailable"
            assert httpx.get(f"{service.url}/healthz").status_code == 200
            with postgres.again():
                until(lambda: ask(service, "after").status_code == 200)
                assert outcome(service, before)["status"] == "ok"
                under_way = meanwhile.json()["collegium"]["decision"]["id"]
                until(lambda: outcome(service, under_way) is not None)
                assert outcome(service, under_way)["status"] == "ok"
        counted = a.stats()["asked"]
        assert (counted["before"], counted.get("away"), counted["after"]) == (1, None, 1)


def outcome(service: RunningService, decision: str) -> Any:
    """The recorded outcome of a decision."""
    return httpx.get(f"{service.url}/v1/decisions/{decision}").json()["outcome"]


async def many(services: list[RunningService], name: str, number: int) -> dict[int, int]:
    """The statuses of so many requests at once, over all services."""
    async with httpx.AsyncClient(timeout=60) as http:
        answers = await asyncio.gather(
            *(
                http.post(
                    f"{services[n % len(services)].url}/v1/chat/completions",
                    json=asking(f"{name}-{n}", model="a", first_s=0.05),
                )
                for n in range(number)
            )
        )
    return dict(Counter(answer.status_code for answer in answers))
