"""The service with two engines that take turns (stubs' processes): decisions count the wait."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from collegium.experts.supervisor import USUAL_START_S
from collegium.settings import load_settings
from collegium.web.app import create_app
from tests.service.turn_takers import MEMORY_GIB, engine_python, register

pytestmark = pytest.mark.slow
SKILLED = {"better": 0.9, "lesser": 0.6}
QUESTION = "How many metres are 3 kilometres?"


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a service that knows two experts, with room for one of their engines."""
    settings = load_settings(
        embedded=False,
        data_dir=tmp_path,
        engine_memory_gib=MEMORY_GIB,
        engine_python=engine_python(tmp_path),
    )
    await register(settings.registry_url, tmp_path, SKILLED)
    app = create_app(settings)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://localhost", timeout=60
        ) as client,
    ):
        await app.state.parts.router.wait()
        yield client


async def asked(http: httpx.AsyncClient, path: str, model: str, **routing: Any) -> httpx.Response:
    messages = [{"role": "user", "content": QUESTION}]
    return await http.post(path, json={"model": model, "messages": messages, "routing": routing})


async def routed(http: httpx.AsyncClient, model: str, **routing: Any) -> Any:
    response = await asked(http, "/v1/route", model, **routing)
    assert response.status_code == 200, response.text
    return response.json()


def waits(decision: Any) -> dict[str, float]:
    return {f["expert"]: f["wait_ms"] for f in decision["forecasts"]}


async def test_decisions_count_the_wait_for_a_turn(http: httpx.AsyncClient) -> None:
    """Before and after a real load of a process, on `/v1/route` and in answers."""
    before = waits(await routed(http, "auto"))
    assert before == {"better": 1000 * USUAL_START_S, "lesser": 1000 * USUAL_START_S}

    answer = (await asked(http, "/v1/chat/completions", "lesser")).json()
    outcome = answer["collegium"]["outcome"]
    assert 0 < outcome["waited_ms"] <= outcome["latency_ms"]
    assert outcome["energy_j"] < 45 * outcome["latency_ms"] / 1000  # none while it waited

    decision = await routed(http, "auto")
    assert decision["expert"] == "better"
    assert "has its turn in about" in decision["reason"]
    assert waits(decision)["lesser"] == 0
    assert waits(decision)["better"] >= 1000 * USUAL_START_S

    hasty = await routed(http, "auto", max_latency_ms=20_000)
    assert hasty["expert"] == "lesser"
    assert "until its engine is loaded" in hasty["reason"]

    refused = await asked(http, "/v1/chat/completions", "better", max_latency_ms=20_000)
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) >= 20
    assert "its engine is loaded" in refused.json()["error"]["message"]
