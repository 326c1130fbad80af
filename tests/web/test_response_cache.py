"""The response cache: the same request has the same answer, at no cost, by any protocol."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from collegium.registry.answers import MemoryAnswers
from collegium.router.decision import Query
from collegium.web.learning.from_log import logged_prompts
from collegium.web.learning.spec import FromLog
from tests.web.access import bearer
from tests.web.bulk import done, line
from tests.web.caching import CACHE, ask, calls, lookup
from tests.web.conftest import Serve, Web, until
from tests.web.fakes import POOL
from tests.web.messages import asking, content_of, events, events_of, message
from tests.web.test_messages_native import speaking
from tests.web.test_owners import ADMIN, DESK, KEYS, SHOP

SAVED = "x-collegium-saved-usd"
COSTS = "0.00001100"
"""Dollars of one of sql's answers: 7 tokens read at 1, 2 written at 2 a million."""


@pytest.fixture
async def web(serve: Serve) -> AsyncIterator[Web]:
    """A service with a cache for each caller."""
    async with serve(response_cache="caller", **KEYS) as web:
        yield web


def text_of(stream: httpx.Response) -> str:
    """What the chunks of a streamed chat completion say together."""
    lines = stream.text.splitlines()
    chunks = [json.loads(x[6:]) for x in lines if x.startswith("data: {")]
    deltas = (choice["delta"] for chunk in chunks for choice in chunk["choices"])
    return "".join(each.get("content") or "" for each in deltas)


async def test_off_means_off(serve: Serve) -> None:
    """By default nothing is kept, and nothing is said of a cache."""
    async with serve() as web:
        for _ in range(2):
            answer = await web.chat(model="sql", temperature=0, routing={"cache": True})
            assert CACHE not in answer.headers
        assert calls(web) == 2
        assert web.parts.cache is None


async def test_a_repeated_request_asks_nobody(web: Web) -> None:
    """The answer is the same, under an id of its own; the cost is 0, and what it saved is said."""
    first, second = await ask(web), await ask(web)
    assert (first.headers[CACHE], second.headers[CACHE]) == ("miss", "hit")
    assert calls(web) == 1
    one, two = first.json(), second.json()
    assert two["choices"] == one["choices"]
    assert two["usage"] == one["usage"]
    assert two["system_fingerprint"] == one["system_fingerprint"]
    assert two["id"] == f"chatcmpl-{two['collegium']['decision']['id']}" != one["id"]
    assert two["collegium"]["decision"]["id"] != one["collegium"]["decision"]["id"]
    assert second.headers["x-collegium-cost-usd"] == "0.00000000"
    assert (SAVED in first.headers, second.headers[SAVED]) == (False, COSTS)
    assert second.headers["age"] == "0"
    assert "Answered from the response cache" in two["collegium"]["decision"]["reason"]


async def test_the_ledger_shows_what_was_saved(web: Web) -> None:
    """A hit takes no tokens and no dollars; decision, usage and metrics say what it saved."""
    first, second = await ask(web), await ask(web)
    made, given = (each.json()["collegium"]["decision"]["id"] for each in (first, second))
    shown = await web.http.get(f"/v1/decisions/{given}", headers=bearer(SHOP))
    outcome = shown.json()["outcome"]
    told = ("status", "expert", "cost_usd", "prompt_tokens", "completion_tokens", "cached_from")
    assert [outcome[name] for name in told] == ["ok", "sql", 0.0, 0, 0, made]
    assert outcome["saved_usd"] == pytest.approx(11e-6)
    used = await web.http.get("/v1/usage", params={"by": "expert"}, headers=bearer(SHOP))
    (row,) = used.json()["data"]
    assert (row["requests"], row["cached"]) == (2, 1)
    assert (row["cost_usd"], row["saved_usd"]) == (pytest.approx(11e-6), pytest.approx(11e-6))
    assert (row["prompt_tokens"], row["completion_tokens"]) == (7, 2)
    read = await web.http.get("/metrics", headers=bearer(ADMIN))
    assert 'collegium_cache_lookups_total{result="hit"} 1.0' in read.text
    assert 'collegium_cache_lookups_total{result="miss"} 1.0' in read.text
    assert 'collegium_cache_saved_usd_total{expert="sql"} 1.1e-05' in read.text
    assert "collegium_cache_entries 1.0" in read.text
    assert 'collegium_answers_total{expert="sql",status="ok"} 1.0' in read.text


async def test_deleted_answers_stay_in_the_sums(web: Web) -> None:
    """Usage counts what was saved also when its decisions are gone."""
    await ask(web)
    await ask(web)
    before = (await web.http.get("/v1/usage", headers=bearer(SHOP))).json()["total"]
    await web.http.delete("/v1/decisions", params={"owner": "shop"}, headers=bearer(SHOP))
    after = (await web.http.get("/v1/usage", headers=bearer(SHOP))).json()["total"]
    assert before["cached"] == after["cached"] == 1
    assert after["saved_usd"] == pytest.approx(before["saved_usd"])


@pytest.mark.parametrize("kept", [False, True])
async def test_streams_and_whole_answers_are_one(web: Web, kept: bool) -> None:
    """What was streamed is given whole, and what was whole is streamed."""
    first = await ask(web, stream=kept, stream_options={"include_usage": True} if kept else None)
    again = await ask(web, stream=not kept)
    assert (first.headers[CACHE], again.headers[CACHE]) == ("miss", "hit")
    stream, whole = (first, again) if kept else (again, first)
    assert text_of(stream) == whole.json()["choices"][0]["message"]["content"]
    assert again.headers["x-collegium-cost-usd"] == "0.00000000"
    assert stream.text.endswith("data: [DONE]\n\n")
    assert calls(web) == 1


async def test_a_replayed_stream_is_the_stream(web: Web) -> None:
    """The same deltas in the same order, with the usage where that is wanted."""
    streams = [await ask(web, stream=True, stream_options={"include_usage": True}) for _ in "ab"]
    assert [each.headers[CACHE] for each in streams] == ["miss", "hit"]
    told = []
    for each in streams:
        chunks = [json.loads(x[6:]) for x in each.text.splitlines() if x.startswith("data: {")]
        assert chunks[-1]["usage"]["total_tokens"] == 9
        told.append([chunk["choices"] for chunk in chunks])
    assert told[0] == told[1]


async def test_protocols_share_answers(serve: Serve) -> None:
    """A chat's answer is a message and a response: the expert was sent the same."""
    async with serve(response_cache="caller") as web:
        asked = {"model": "sql", "temperature": 0, "max_tokens": 100}
        first = await web.chat("sql 1", **asked)
        await web.parts.background.finish()
        said = first.json()["choices"][0]["message"]["content"]
        body = asking("sql 1", model="sql", temperature=0)
        streamed = await web.http.post("/v1/messages", json=body | {"stream": True})
        assert streamed.headers[CACHE] == "hit"
        assert content_of(events_of(streamed.text))[0]["text"] == said
        assert (await message(web, model="sql", temperature=0))["content"][0]["text"] == said
        assert len(web.experts["sql"].asked) == 1


async def test_a_repeated_message_is_a_stream_of_messages_events(serve: Serve) -> None:
    """Streamed twice by Anthropic's protocol, in a valid order, with the same content."""
    async with serve(response_cache="caller") as web:
        first = await events(web, model="sql", temperature=0)
        await web.parts.background.finish()
        second = await events(web, model="sql", temperature=0)
        assert content_of(first) == content_of(second)
        assert len(web.experts["sql"].asked) == 1


async def test_an_experts_own_events_are_replayed(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it speaks the caller's protocol: whole and streamed answers are then kept apart."""
    monkeypatch.setenv("NATIVE_API_KEY", "s3cret")
    async with speaking(serve, {"response_cache": "caller"}) as native:
        web, asked = native.web, {"model": "native", "temperature": 0}
        streams = []
        for _ in range(2):
            streams.append(content_of(await events(web, **asked)))
            await web.parts.background.finish()
        wholes = []
        for _ in range(2):
            wholes.append((await message(web, **asked))["content"])
            await web.parts.background.finish()
        assert streams[0] == streams[1] == wholes[0] == wholes[1]
        assert len(native.server.requests) == 2


async def test_a_response_is_cached_and_kept(serve: Serve) -> None:
    """A hit is stored under an id of its own, and the conversation goes on from it."""
    async with serve(response_cache="caller", record="full") as web:
        body = {"model": "sql", "input": "sql 1", "temperature": 0}
        answers = []
        for _ in range(2):
            answers.append(await web.http.post("/v1/responses", json=body))
            await web.parts.background.finish()
        assert [each.headers[CACHE] for each in answers] == ["miss", "hit"]
        one, two = (each.json() for each in answers)
        assert one["id"] != two["id"]
        more = {**body, "input": "sql 2", "previous_response_id": two["id"]}
        assert (await web.http.post("/v1/responses", json=more)).headers[CACHE] == "miss"
        await web.parts.background.finish()
        same = {**more, "previous_response_id": one["id"]}
        assert (await web.http.post("/v1/responses", json=same)).headers[CACHE] == "hit"


async def test_completions_are_cached(serve: Serve) -> None:
    """Each prompt of a request by itself."""
    async with serve(response_cache="caller") as web:
        body = {"model": "sql", "prompt": ["sql 1", "sql 2"], "temperature": 0, "max_tokens": 5}
        texts = []
        for _ in range(2):
            answer = await web.http.post("/v1/completions", json=body)
            texts.append([choice["text"] for choice in answer.json()["choices"]])
            await web.parts.background.finish()
        assert texts[0] == texts[1]
        assert len(web.experts["sql"].asked) == 2


async def test_a_hit_takes_a_request_and_nothing_else_of_a_budget(web: Web) -> None:
    """Dollars and tokens stay; requests per window count."""
    for metric, amount in (("usd", 1.0), ("tokens", 10_000), ("requests", 3)):
        limit = {"scope": "key", "name": "shop", "metric": metric, "amount": amount}
        set_ = await web.http.put(
            "/v1/budgets", json=limit | {"window": "day"}, headers=bearer(ADMIN)
        )
        assert set_.status_code == 200
    used = []
    for expected in ("miss", "hit", "hit"):
        assert await lookup(web) == expected
        rows = (await web.http.get("/v1/budgets", headers=bearer(SHOP))).json()["data"]
        used.append({row["metric"]: row["used"] for row in rows})
        assert all(row["reserved"] == 0 for row in rows)
    assert used[0]["usd"] == used[2]["usd"] == pytest.approx(11e-6)
    assert used[0]["tokens"] == used[2]["tokens"] == 9
    assert [each["requests"] for each in used] == [1, 2, 3]
    body = {"model": "sql", "temperature": 0, "messages": [{"role": "user", "content": "sql 1"}]}
    refused = await web.http.post("/v1/chat/completions", json=body, headers=bearer(SHOP))
    assert refused.status_code == 429


async def test_a_spent_budget_still_gives_what_is_cached(web: Web) -> None:
    """It costs nothing."""
    await ask(web)
    limit = {"scope": "key", "name": "shop", "metric": "usd", "window": "day", "amount": 11e-6}
    await web.http.put("/v1/budgets", json=limit, headers=bearer(ADMIN))
    assert await lookup(web) == "hit"
    body = {"model": "sql", "temperature": 0, "messages": [{"role": "user", "content": "sql 2"}]}
    refused = await web.http.post("/v1/chat/completions", json=body, headers=bearer(SHOP))
    assert refused.status_code == 402


async def test_a_hit_teaches_nothing_of_the_expert_but_can_be_rated(web: Web) -> None:
    """Its speed and the lengths of its answers stay what they were; feedback is of the decision."""
    await ask(web)
    before = web.parts.tokens.within(POOL[0], Query("sql 1", "sql"), 7, 2.0)
    hit = await ask(web)
    assert web.parts.tokens.within(POOL[0], Query("sql 1", "sql"), 7, 2.0) == before
    given = {"decision_id": hit.headers["x-collegium-decision-id"], "verdict": "good_fit"}
    rated = await web.http.post("/v1/feedback", json=given, headers=bearer(SHOP))
    assert rated.is_success, rated.text


@pytest.mark.parametrize("params", [{"session": "one"}, {"owner": "shop"}, {"application": "till"}])
async def test_deleted_decisions_take_their_cached_answers_along(web: Web, params: Any) -> None:
    """By session, caller and application; others' stay."""
    body = {"model": "sql", "temperature": 0, "messages": [{"role": "user", "content": "sql 1"}]}
    headers = bearer(SHOP) | {"x-session-id": "one", "x-collegium-application": "till"}
    first = await web.http.post("/v1/chat/completions", json=body, headers=headers)
    await web.parts.background.finish()
    if "application" in params:
        params = {"application": first.headers["x-collegium-application"]}
    assert await lookup(web, key=DESK) == "miss"
    gone = await web.http.delete("/v1/decisions", params=params, headers=bearer(SHOP))
    assert gone.json()["deleted"] == 1
    assert await lookup(web, key=DESK) == "hit"
    assert await lookup(web) == "miss"


async def test_learning_sees_a_cached_answer_once(serve: Serve) -> None:
    """As the answer that it was at first, with what that took."""
    async with serve(response_cache="caller", record="full") as web:
        for _ in range(2):
            await web.chat("sql 1", model="sql", temperature=0)
            await web.parts.background.finish()
        (prompt,) = await logged_prompts(web.parts.log, FromLog())
        assert prompt.logged["sql"].completion_tokens == 2
        assert len(web.experts["sql"].asked) == 1


async def test_the_operator_empties_it(web: Web) -> None:
    """And sees how much it holds; others may not."""
    await ask(web)
    held = (await web.http.get("/v1/cache", headers=bearer(ADMIN))).json()
    assert (held["mode"], held["entries"]) == ("caller", 1)
    assert 0 < held["bytes"] < 2000
    assert (await web.http.delete("/v1/cache", headers=bearer(SHOP))).status_code == 403
    emptied = await web.http.delete("/v1/cache", headers=bearer(ADMIN))
    assert emptied.json() == {"object": "cache.deleted", "deleted": 1}
    assert await lookup(web) == "miss"


async def test_requests_at_the_same_time_are_each_asked(web: Web) -> None:
    """Nobody waits for another's answer; one of them is kept."""
    expert = web.experts["sql"]
    expert.waits = True
    asked = [asyncio.create_task(lookup(web)) for _ in range(5)]
    await until(lambda: calls(web) == 5)
    expert.go.set()
    assert set(await asyncio.gather(*asked)) == {"miss"}
    held = (await web.http.get("/v1/cache", headers=bearer(ADMIN))).json()
    assert held["entries"] == 1
    assert await lookup(web) == "hit"


async def test_bulk_jobs_use_it(serve: Serve) -> None:
    """A line that was answered before costs nothing."""
    async with serve(response_cache="caller") as web:
        await web.chat("sql 1", model="sql", temperature=0)
        await web.parts.background.finish()
        lines = [line("a", model="sql", temperature=0)]
        _, answered = await done(web, lines)
        assert len(web.experts["sql"].asked) == 1
        assert answered


async def test_nobodys_answers_go_for_anothers_flood(serve: Serve) -> None:
    """The owner who stores most makes room; others find their answers."""
    async with serve(response_cache="caller", response_cache_max_mib=0.02, **KEYS) as web:
        assert await lookup(web, "sql 0", key=DESK) == "miss"
        for number in range(40):
            assert await lookup(web, f"sql {number}") == "miss"
        assert await lookup(web, "sql 0") == "miss"
        assert await lookup(web, "sql 0", key=DESK) == "hit"


async def test_the_bound_and_the_age_hold() -> None:
    """Bytes are counted exactly; the least recently used answer goes first; the time is exact."""
    now = 0.0
    store = MemoryAnswers(ttl_s=10.0, most_bytes=3 * (512 + 100), clock=lambda: now)
    for name in "abc":
        await store.put(name, f"dec_{name}", b"x" * 100, "shop")
    assert await store.get("a") is not None
    await store.put("d", "dec_d", b"x" * 100, "shop")
    assert await store.get("b") is None
    assert (await store.held()).bytes == 3 * 612
    now = 9.999
    assert await store.get("a") is not None
    now = 10.0
    assert await store.get("a") is None
    assert (await store.held()).entries == 0
