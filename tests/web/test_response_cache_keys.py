"""What the response cache may answer again: requests alike in all that can change an answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from collegium.errors import ContentRefused, ExpertUnavailable
from tests.web.access import bearer
from tests.web.caching import CACHE, ask, calls, lookup
from tests.web.conftest import Serve, Web
from tests.web.fakes import POOL, delta
from tests.web.test_owners import ADMIN, DESK, KEYS, SHOP

TOOL: Any = {"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}
CALL = {"id": "a", "type": "function", "function": {"name": "find", "arguments": '{"x": 1}'}}


@pytest.fixture
async def web(serve: Serve) -> AsyncIterator[Web]:
    """A service with a cache for each caller."""
    async with serve(response_cache="caller", **KEYS) as web:
        yield web


def ended(reason: str | None) -> Any:
    """A choice that ended for a reason."""
    return {"index": 0, "message": {"content": "x"}, "finish_reason": reason}


@pytest.mark.parametrize(
    "changed",
    [
        {"temperature": None, "seed": 8},
        {"seed": 7, "temperature": 1},
        {"max_tokens": 3},
        {"stop": ["x"]},
        {"n": 2},
        {"top_p": 0.5},
        {"tools": [TOOL]},
        {"response_format": {"type": "json_object"}},
        {"logit_bias": {"1": 2}},
        {"user": "somebody else"},
        {"model": "lists"},
        {"messages": [{"role": "user", "content": "sql 1 "}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "sql 1"}]}]},
        {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "sql 1"},
            ]
        },
    ],
)
async def test_what_can_change_the_answer_is_asked_anew(web: Web, changed: Any) -> None:
    """Also where only one field differs."""
    await ask(web, seed=7)
    assert await lookup(web, **{"seed": 7, **changed}) == "miss"
    assert await lookup(web, seed=7) == "hit"


async def test_labels_and_the_order_of_fields_change_nothing(web: Web) -> None:
    """What no model reads is not part of the key, nor is how a client sorts a request's fields."""
    await ask(web, seed=7, metadata={"run": "1"})
    body = (
        '{"metadata": {"run": "2"}, "seed": 7, "temperature": 0.0, "stream": false, '
        '"messages": [{"content": "sql 1", "role": "user"}], "model": "sql", "store": true}'
    )
    headers = bearer(SHOP) | {"content-type": "application/json"}
    answer = await web.http.post("/v1/chat/completions", content=body, headers=headers)
    assert answer.headers[CACHE] == "hit"


async def test_the_order_inside_a_schema_is_part_of_the_key(web: Web) -> None:
    """Models write the fields of an object in the order of its schema."""

    def schema(*names: str) -> Any:
        properties = {name: {"type": "string"} for name in names}
        made = {"name": "s", "schema": {"type": "object", "properties": properties}}
        return {"type": "json_schema", "json_schema": made}

    assert await lookup(web, response_format=schema("a", "b")) == "miss"
    assert await lookup(web, response_format=schema("b", "a")) == "miss"
    assert await lookup(web, response_format=schema("a", "b")) == "hit"


async def test_unicode_is_compared_exactly(web: Web) -> None:
    """Letters that only look the same are others; half a surrogate pair is no error."""
    assert await lookup(web, "sql café") == "miss"
    assert await lookup(web, "sql cafe\u0301") == "miss"
    assert await lookup(web, "sql café") == "hit"
    web.experts["sql"].says = "na\u00efve \U0001f600"
    assert await lookup(web, "sql \U0001f600") == "miss"
    again = await ask(web, "sql \U0001f600")
    assert again.json()["choices"][0]["message"]["content"] == "na\u00efve \U0001f600"
    web.experts["sql"].says = "half \ud83d"
    question = '[{"role": "user", "content": "sql \\ud83d"}]'
    body = f'{{"model": "sql", "temperature": 0, "messages": {question}}}'
    for _ in range(2):
        headers = bearer(SHOP) | {"content-type": "application/json"}
        answer = await web.http.post("/v1/chat/completions", content=body, headers=headers)
        assert (answer.status_code, answer.headers[CACHE]) == (200, "miss")
        await web.parts.background.finish()


async def test_only_requests_with_one_answer_are_cached_unless_one_asks_for_it(web: Web) -> None:
    """Temperature 0 or a seed; `routing.cache` decides where it is given."""
    for _ in range(2):
        assert await lookup(web, temperature=None) == "bypass"
        assert await lookup(web, temperature=0.7) == "bypass"
        assert await lookup(web, routing={"cache": False}) == "bypass"
    for expected in ("miss", "hit"):
        assert await lookup(web, temperature=0.7, routing={"cache": True}) == expected
    assert await lookup(web, temperature=0.7) == "bypass"


async def test_a_presets_temperature_counts(web: Web) -> None:
    """The expert is asked with it."""
    preset = {"base": "sql", "body": {"temperature": 0}}
    await web.parts.registry.register(replace(POOL[0], name="exact", preset=preset))
    for expected in ("miss", "hit"):
        assert await lookup(web, model="exact", temperature=None) == expected
    assert await lookup(web, model="exact", temperature=0.5) == "bypass"


async def test_cache_control_is_honoured(web: Web) -> None:
    """`no-store` keeps nothing, `no-cache` asks anew and keeps that, `max-age` wants it young."""
    assert await lookup(web, control="no-store") == "bypass"
    assert await lookup(web) == "miss"
    web.experts["sql"].says = "newer"
    assert await lookup(web, control="no-store") == "bypass"
    assert (await ask(web)).json()["choices"][0]["message"]["content"] == "hello there"
    assert await lookup(web, control="private, No-Cache") == "bypass"
    assert (await ask(web)).json()["choices"][0]["message"]["content"] == "newer"
    assert await lookup(web, control="max-age=60") == "hit"
    assert await lookup(web, control="max-age=0") == "miss"
    for stale in ("max-age=nonsense", "max-age=-1"):
        assert await lookup(web, control=stale) == "miss"


async def test_callers_have_their_own(web: Web) -> None:
    """Another caller's answer is nobody's business."""
    assert await lookup(web) == "miss"
    assert await lookup(web, key=DESK) == "miss"
    assert await lookup(web, key=ADMIN) == "miss"
    assert await lookup(web, key=DESK) == "hit"
    assert calls(web) == 3


async def test_shared_answers_are_for_those_who_may_ask_the_expert(serve: Serve) -> None:
    """The decision comes first: who may not ask sql gets none of its answers."""
    async with serve(response_cache="shared", **KEYS) as web:
        made = {"name": "narrow", "allowed_experts": ["lists"]}
        created = await web.http.post("/v1/keys", json=made, headers=bearer(ADMIN))
        key = created.json()["key"]
        assert await lookup(web) == "miss"
        assert await lookup(web, key=DESK) == "hit"
        body = {"messages": [{"role": "user", "content": "sql 1"}], "temperature": 0}
        refused = await web.http.post(
            "/v1/chat/completions", json=body | {"model": "sql"}, headers=bearer(key)
        )
        assert refused.status_code == 422
        routed = await web.http.post("/v1/chat/completions", json=body, headers=bearer(key))
        assert (routed.headers["x-collegium-expert"], routed.headers[CACHE]) == ("lists", "miss")


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ({"choices": [ended("content_filter")]}, "filtered"),
        ({"message": {"refusal": "I won't."}}, "refused"),
        ({"choices": [ended(None)]}, "no end"),
        ({"says": "x" * 2**21}, "too large"),
    ],
)
async def test_what_is_no_whole_answer_is_not_kept(web: Web, script: Any, why: str) -> None:
    """Filtered, refused, without an end, or larger than the bound."""
    for name, value in script.items():
        setattr(web.experts["sql"], name, value)
    assert [await lookup(web) for _ in range(2)] == ["miss", "miss"], why


async def test_failures_are_not_kept(web: Web) -> None:
    """Neither before the answer, nor in the midst of a stream; nor is a stream that was left."""
    expert = web.experts["sql"]
    body = {"model": "sql", "temperature": 0, "messages": [{"role": "user", "content": "sql 1"}]}
    for error in (ExpertUnavailable("sql", "down"), ContentRefused("sql", "no")):
        expert.refuses = error
        answer = await web.http.post("/v1/chat/completions", json=body, headers=bearer(SHOP))
        assert answer.status_code >= 400
    expert.refuses, expert.dies = None, ExpertUnavailable("sql", "gone")
    assert "error" in (await ask(web, stream=True)).text
    expert.dies = None
    assert await lookup(web) == "miss"


async def test_an_answer_of_another_expert_is_not_kept_for_the_chosen_one(web: Web) -> None:
    """Failover is for the moment: the next request asks the chosen one again."""
    web.experts["sql"].refuses = ExpertUnavailable("sql", "down")
    web.experts["sql"].recovers = 1
    first = await ask(web, routing={"failover": True})
    assert first.headers["x-collegium-expert"] != "sql"
    again = await ask(web, routing={"failover": True})
    assert (again.headers[CACHE], again.headers["x-collegium-expert"]) == ("miss", "sql")


async def test_tool_calls_are_kept_when_they_are_whole(web: Web) -> None:
    """With their ids, streamed or not."""
    expert = web.experts["sql"]
    expert.chunks = [
        delta({"role": "assistant", "content": None}),
        delta({"tool_calls": [{"index": 0, **CALL}]}),
        delta({}, "tool_calls"),
    ]
    await ask(web, tools=[TOOL], stream=True)
    again = await ask(web, tools=[TOOL])
    assert again.headers[CACHE] == "hit"
    (choice,) = again.json()["choices"]
    assert choice["message"]["tool_calls"] == [CALL]
    assert choice["finish_reason"] == "tool_calls"


async def test_a_panel_is_asked_each_time(web: Web) -> None:
    """Its members' answers are not one expert's."""
    for _ in range(2):
        answer = await ask(web, model="collegium/vote", routing={"k": 2, "cache": True})
        assert answer.headers[CACHE] == "bypass"


async def test_a_changed_expert_answers_anew(web: Web) -> None:
    """A cached answer is one that this expert would give now."""
    assert await lookup(web) == "miss"
    changed = await web.http.patch(
        "/v1/experts/sql", json={"description": "newer"}, headers=bearer(ADMIN)
    )
    assert changed.status_code == 200, changed.text
    assert await lookup(web) == "miss"


async def test_the_longest_answer_that_a_key_may_have_is_part_of_the_key(serve: Serve) -> None:
    """Else a shared answer would be longer than its limit allows."""
    async with serve(response_cache="shared", **KEYS) as web:
        limit = {"scope": "key", "name": "desk", "metric": "max_tokens", "amount": 1}
        await web.http.put("/v1/budgets", json=limit, headers=bearer(ADMIN))
        assert await lookup(web) == "miss"
        assert await lookup(web, key=DESK) == "miss"
