"""Panels whose limits hold only while an expert has little to do."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx

from tests.web.conftest import Serve, Web, until
from tests.web.panels import NAMES, ask, knowing

ALONE_MS = 10.0  # a token of an expert with nothing else to do; each other answer adds as much
EQUAL = [knowing("free", 0.8), knowing("busy", 0.8)]


def slow_down(web: Web) -> None:
    """Let it be known how two experts slow down with their load."""
    for number in range(40):
        load = number % 10
        for expert in EQUAL:
            tokens, slower = 20 + number, 1 + load
            took_ms = tokens * ALONE_MS * slower
            web.parts.speeds.learn(
                expert.name, took_ms, tokens, ttft_ms=ALONE_MS * slower, load=load
            )


@contextmanager
def answering(web: Web, others: int) -> Iterator[None]:
    """So many answers are being made by the busy one."""
    with ExitStack() as stack:
        for _ in range(others):
            stack.enter_context(web.parts.speeds.in_flight.answering(EQUAL[1]))
        yield


async def routed(web: Web, mode: str, **routing: Any) -> httpx.Response:
    """What `/v1/route` says of a panel of both."""
    wanted = {"k": 2, "experts_allow": ["free", "busy"], **routing}
    body = {"messages": [{"role": "user", "content": "sql 1"}], "routing": wanted}
    return await web.http.post("/v1/route", json={**body, "model": f"collegium/{mode}"})


async def took_ms(web: Web, mode: str) -> float:
    """How long a panel is forecast to take without a limit."""
    forecasts = (await routed(web, mode)).json()["forecasts"]
    return next(float(f["latency_ms"]) for f in forecasts if f["expert"] == f"collegium/{mode}")


async def test_a_member_with_much_to_do_is_answered_with_429(serve: Serve) -> None:
    """One expert alone would keep the limit, so it is the panel that refuses; later it does not."""
    async with serve(experts=EQUAL) as web:
        slow_down(web)
        limit_ms = 2 * await took_ms(web, "vote")
        assert (await routed(web, "vote", max_latency_ms=limit_ms)).status_code == 200
        with answering(web, 9):
            busy_ms = await took_ms(web, "vote")
            refused = await routed(web, "vote", max_latency_ms=limit_ms)
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "expert_busy")
        assert "less to do" in refused.json()["error"]["message"]
        late_s = (busy_ms - limit_ms / 2) / 1000
        assert late_s <= int(refused.headers["retry-after"]) <= late_s + 1
        assert (await routed(web, "vote", max_latency_ms=limit_ms)).status_code == 200


async def test_what_a_panel_can_never_keep_is_422_under_load_too(serve: Serve) -> None:
    """A cascade asks one after the other; to come again would be in vain."""
    async with serve(experts=EQUAL) as web:
        slow_down(web)
        limit_ms = 0.75 * await took_ms(web, "cascade")
        for others in (0, 9):
            with answering(web, others):
                refused = await routed(web, "cascade", max_latency_ms=limit_ms)
            assert refused.status_code == 422
            assert "max_latency_ms" in refused.json()["error"]["message"]


async def test_a_panels_members_are_in_flight_while_it_answers(web: Web) -> None:
    """Each where it is asked."""
    for name in NAMES:
        web.experts[name].waits = True
    panel = asyncio.create_task(ask(web, "vote", k=2))
    await until(lambda: web.experts["general"].asked and web.experts["sql"].asked)
    metrics = await web.metrics()
    assert metrics['collegium_in_flight{expert="sql"}'] == 1
    assert metrics['collegium_in_flight{expert="general"}'] == 1
    for name in NAMES:
        web.experts[name].go.set()
    await panel
    assert (await web.metrics())['collegium_in_flight{expert="general"}'] == 0
