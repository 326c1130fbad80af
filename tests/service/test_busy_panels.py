"""Panels whose limits hold only while an expert has little to do: 429, to come again, not 422."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from collegium.registry.database import Database
from collegium.registry.expert import Expert
from collegium.registry.experts import ExpertRegistry
from collegium.router.artifact import BUNDLED, load
from collegium.router.costs import Speeds
from collegium.settings import load_settings
from collegium.web.app import create_app

pytestmark = pytest.mark.slow
ALONE_MS = 10.0  # a token of an expert with nothing else to do; each other answer adds as much
SKILLS = dict.fromkeys(map(str, load(BUNDLED).skills.classes_), 0.8)
# Each at an address of its own: what shares one shares its load.
EXPERTS = [
    Expert(name, "openai", name, base_url=f"http://127.0.0.1:{port}/v1", skills=SKILLS)
    for name, port in (("free", 8), ("busy", 9))
]


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[FastAPI]:
    """A service that has seen how its two experts slow down with their load."""
    settings = load_settings(embedded=False, data_dir=tmp_path)
    database = Database(settings.registry_url)
    await database.migrate()
    for expert in EXPERTS:
        await ExpertRegistry(database).register(expert)
    await database.close()
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        await app.state.parts.router.wait()
        for number in range(40):
            load = number % 10
            for expert in EXPERTS:
                tokens, slower = 20 + number, 1 + load
                took_ms = tokens * ALONE_MS * slower
                app.state.parts.speeds.learn(
                    expert.name, took_ms, tokens, ttft_ms=ALONE_MS * slower, load=load
                )
        yield app


@contextmanager
def answering(speeds: Speeds, others: int) -> Iterator[None]:
    """So many answers are being made by the busy one."""
    with ExitStack() as stack:
        for _ in range(others):
            stack.enter_context(speeds.in_flight.answering(EXPERTS[1]))
        yield


async def routed(app: FastAPI, mode: str, **routing: Any) -> httpx.Response:
    """What `/v1/route` says of a panel of both."""
    messages = [{"role": "user", "content": "How many metres are 3 kilometres?"}]
    body = {"model": f"collegium/{mode}", "messages": messages, "routing": {"k": 2, **routing}}
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        return await http.post("/v1/route", json=body)


async def took_ms(app: FastAPI, mode: str) -> float:
    """How long a panel is forecast to take without a limit."""
    forecasts = (await routed(app, mode)).json()["forecasts"]
    return next(float(f["latency_ms"]) for f in forecasts if f["expert"] == f"collegium/{mode}")


async def test_a_member_with_much_to_do_is_answered_with_429(app: FastAPI) -> None:
    """One expert alone would keep the limit, so it is the panel that refuses; later it does not."""
    limit_ms = 2 * await took_ms(app, "vote")
    assert (await routed(app, "vote", max_latency_ms=limit_ms)).status_code == 200
    with answering(app.state.parts.speeds, 9):
        busy_ms = await took_ms(app, "vote")
        refused = await routed(app, "vote", max_latency_ms=limit_ms)
    assert refused.status_code == 429
    assert refused.json()["error"]["code"] == "expert_busy"
    assert "less to do" in refused.json()["error"]["message"]
    late_s = (busy_ms - limit_ms / 2) / 1000
    assert late_s <= int(refused.headers["retry-after"]) <= late_s + 1
    assert (await routed(app, "vote", max_latency_ms=limit_ms)).status_code == 200


async def test_what_a_panel_can_never_keep_is_422_under_load_too(app: FastAPI) -> None:
    """A cascade asks one after the other; to come again would be in vain."""
    limit_ms = 0.75 * await took_ms(app, "cascade")
    for others in (0, 9):
        with answering(app.state.parts.speeds, others):
            refused = await routed(app, "cascade", max_latency_ms=limit_ms)
        assert refused.status_code == 422
        assert "max_latency_ms" in refused.json()["error"]["message"]
