"""Clients that leave: the expert's call ends, and what it took is recorded once."""

from __future__ import annotations

import gc
import logging
from typing import Any

import pytest
from sqlalchemy import text

from collegium.errors import ExpertUnavailable
from collegium.experts.dispatch.breaker import Rules
from tests.web.callers import calling, until_idle
from tests.web.conftest import Serve, Web, until

QUESTION = {"messages": [{"role": "user", "content": "sql 1"}]}
VOTE = {**QUESTION, "model": "collegium/vote", "routing": {"k": 2}}
both_ways = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


async def outcomes(web: Web) -> list[Any]:
    """All that were recorded."""
    await until_idle(web)
    async with web.parts.database.session() as session:
        ids = list(await session.scalars(text("SELECT id FROM decisions")))
    return [await web.outcome(decision) for decision in ids]


@both_ways
async def test_who_leaves_before_the_answer_begins_ends_the_call(web: Web, stream: bool) -> None:
    """Nothing is sent; the prompt counts by an estimate, for the expert has read it.

    So does a whole answer, by its forecast: providers write it to its end.
    """
    script = web.experts["sql"]
    script.waits = True
    async with calling(web, {**QUESTION, "stream": stream}) as caller:
        await until(lambda: script.asked)
        assert (await web.metrics())['collegium_in_flight{expert="sql"}'] == 1
        caller.left.set()
    assert script.left == 1
    assert caller.text == ""
    (outcome,) = await outcomes(web)
    assert (outcome["status"], outcome["expert"]) == ("cancelled", "sql")
    assert outcome["prompt_tokens"] > 0
    assert (outcome["completion_tokens"] > 0) is not stream
    await expect_counted(web, outcome)


async def test_who_leaves_a_stream_ends_the_call(web: Web) -> None:
    """What was said counts by its pieces, and as much for what is in flight."""
    script = web.experts["sql"]
    script.pauses = True
    async with calling(web, {**QUESTION, "stream": True}) as caller:
        await until(lambda: "hello" in caller.text)
        caller.left.set()
    assert script.left == 1
    (outcome,) = await outcomes(web)
    assert (outcome["status"], outcome["completion_tokens"]) == ("cancelled", 2)
    assert outcome["ttft_ms"] > 0
    await expect_counted(web, outcome)


@pytest.mark.parametrize("begins", [True, False])
async def test_a_stream_that_began_closes_a_breaker(web: Web, begins: bool) -> None:
    """Clients that always leave early must not keep it half-open; one that saw nothing tells
    nothing.
    """
    dispatcher, script = web.parts.pool.dispatcher, web.experts["sql"]
    dispatcher._shared._rules = Rules(failures=1, first_rest_s=0.0)
    script.refuses = ExpertUnavailable("sql", "it is down")
    assert (await web.chat(model="sql")).status_code == 503
    assert dispatcher.circuits()["sql"] == "half-open"
    script.refuses = None
    script.pauses, script.waits = begins, not begins
    async with calling(web, {**QUESTION, "model": "sql", "stream": True}) as caller:
        await until(lambda: "hello" in caller.text if begins else len(script.asked) == 2)
        caller.left.set()
    assert script.left == 1
    assert dispatcher.circuits()["sql"] == ("closed" if begins else "half-open")


async def expect_counted(web: Web, outcome: Any) -> None:
    """The metrics tell the same, and that nobody is asked any more."""
    metrics = await web.metrics()
    assert metrics['collegium_answers_total{expert="sql",status="cancelled"}'] == 1
    assert metrics['collegium_in_flight{expert="sql"}'] == 0
    assert [v for name, v in metrics.items() if name.startswith("collegium_slots_taken")] == [0]
    tokens = metrics['collegium_tokens_total{direction="prompt",expert="sql"}']
    assert tokens == outcome["prompt_tokens"]


@both_ways
async def test_who_leaves_a_queue_was_never_asked_for(serve: Serve, stream: bool) -> None:
    """No tokens: no expert has read anything."""
    async with serve(remote_concurrency=1) as web:
        script = web.experts["sql"]
        script.waits = True
        async with calling(web, QUESTION):
            await until(lambda: script.asked)
            async with calling(web, {**QUESTION, "stream": stream}) as second:
                await until(lambda: web.parts.pool.dispatcher.waiting().get("sql"))
                second.left.set()
            assert not web.parts.pool.dispatcher.waiting()["sql"]
            script.go.set()
        assert len(script.asked) == 1
        told = {o["status"]: o for o in await outcomes(web)}
    assert told.keys() == {"ok", "cancelled"}
    assert (told["cancelled"]["prompt_tokens"], told["cancelled"]["waited_ms"]) == (0, None)


@both_ways
async def test_who_leaves_a_panel_ends_every_call(web: Web, stream: bool) -> None:
    """One outcome, with both calls in it."""
    for name in ("sql", "general"):
        web.experts[name].waits = True
    async with calling(web, {**VOTE, "stream": stream}) as caller:
        await until(lambda: web.experts["sql"].asked and web.experts["general"].asked)
        caller.left.set()
    assert (web.experts["sql"].left, web.experts["general"].left) == (1, 1)
    (outcome,) = await outcomes(web)
    assert outcome["status"] == "cancelled"
    assert [call["status"] for call in outcome["calls"]] == ["cancelled", "cancelled"]
    assert outcome["prompt_tokens"] == sum(call["prompt_tokens"] for call in outcome["calls"]) > 0


async def test_who_leaves_without_reading_is_noticed_at_once(web: Web) -> None:
    """Nothing waits for Python's collector, which the service lets come by rarely."""
    script = web.experts["sql"]
    script.pauses = True
    gc.disable()
    try:
        async with calling(web, {**QUESTION, "stream": True}) as caller:
            caller.reads = False
            await caller.waited_for.wait()
            caller.left.set()
        assert script.left == 1
    finally:
        gc.enable()
    (outcome,) = await outcomes(web)
    assert outcome["status"] == "cancelled"


async def test_who_leaves_while_sending_the_body_is_no_failure(
    web: Web, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing was asked, and nobody has to read of it in the log."""
    with caplog.at_level(logging.ERROR):
        async with calling(web, QUESTION, whole=False) as caller:
            caller.left.set()
    assert caplog.records == []
    assert await outcomes(web) == []
