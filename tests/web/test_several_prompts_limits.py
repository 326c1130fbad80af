"""Several prompts of one request are reserved for together, or refused before one is paid for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from collegium.registry.decisions.selection import Selection
from tests.web.access import bearer
from tests.web.conftest import Serve, Web, until
from tests.web.test_budgets import limit, limits
from tests.web.test_owners import KEYS, SHOP

BOTH = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


@pytest.fixture
async def web(serve: Serve) -> AsyncIterator[Web]:
    """A service with an operator and two callers."""
    async with serve(**KEYS) as web:
        yield web


async def complete(web: Web, prompts: int, **fields: Any) -> httpx.Response:
    body = {"model": "sql", "prompt": ["sql 1"] * prompts, "max_tokens": 8, **fields}
    return await web.http.post("/v1/completions", json=body, headers=bearer(SHOP))


@BOTH
@pytest.mark.parametrize(("metric", "amount", "status"), [("requests", 3, 429), ("usd", 1e-4, 402)])
async def test_a_request_is_refused_whole(
    web: Web, stream: bool, metric: str, amount: float, status: int
) -> None:
    """No expert was asked, nothing is reserved, and nothing is in the log. It is not told to come
    again: it is larger than the limit, and nothing else is in flight.
    """
    await limit(web, metric, amount, "hour")
    refused = await complete(web, 9, stream=stream)
    assert refused.status_code == status, refused.text
    assert "retry-after" not in refused.headers
    assert "it is too large" in refused.json()["error"]["message"]
    assert "in flight" not in refused.json()["error"]["message"]
    assert "none of the request's 9 prompts was asked" in refused.json()["error"]["message"]
    found = (await limits(web))[metric]
    assert (found["used"], found["reserved"]) == (0, 0)
    assert web.experts["sql"].asked == []
    assert not (await web.parts.log.list(Selection())).items
    answered = await complete(web, 2, stream=stream)
    assert answered.status_code == 200
    found = (await limits(web))[metric]
    assert found["reserved"] == 0
    assert found["used"] == pytest.approx(2 if metric == "requests" else 2 * (7 + 4) * 1e-6)


@BOTH
async def test_all_prompts_are_one_request_in_flight(web: Web, stream: bool) -> None:
    """Until the last is answered; a second request has to wait."""
    await limit(web, "parallel", 1, "")
    script = web.experts["sql"]
    script.waits = True
    answering = asyncio.create_task(complete(web, 12, stream=stream))
    await until(lambda: len(script.asked) == 8)
    assert (await complete(web, 2)).status_code == 429
    script.go.set()
    assert (await answering).status_code == 200
    assert (await limits(web))["parallel"]["used"] == 0
    assert (await complete(web, 2)).status_code == 200


@BOTH
async def test_what_was_not_asked_is_given_back(web: Web, stream: bool) -> None:
    """Where one answer fails, also what waits for its turn."""
    from collegium.errors import ExpertRejected

    await limit(web, "requests", 50, "hour")
    web.experts["sql"].refuses = ExpertRejected("sql", "no", 400)
    assert (await complete(web, 20, stream=stream)).status_code == 400
    found = (await limits(web))["requests"]
    assert found["reserved"] == 0
    assert 1 <= found["used"] <= 8
