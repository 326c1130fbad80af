"""What callers may send, what they may not, and what limits and sessions do."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from collegium.errors import StateUnavailable
from collegium.registry.expert import Expert
from tests.web.conftest import Serve, Web, on_shared
from tests.web.fakes import ADDRESS

HELLO = {"role": "user", "content": "sql 1"}


STEERING = [("models", ["dear"]), ("fallbacks", ["dear"]), ("api_base", "http://h"), ("route", "x")]


@on_shared
@pytest.mark.parametrize(("name", "value"), STEERING)
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("chat/completions", {"messages": [HELLO]}),
        ("completions", {"prompt": "sql 1"}),
        ("messages", {"messages": [HELLO], "max_tokens": 5}),
        ("responses", {"input": "sql 1"}),
        ("embeddings", {"input": "sql 1"}),
        ("rerank", {"query": "sql 1", "documents": ["x"]}),
        ("route", {"messages": [HELLO]}),
    ],
)
async def test_nobody_lets_an_upstream_choose_who_answers(
    shared: Web, path: str, body: dict[str, Any], name: str, value: Any
) -> None:
    """An upstream that is a gateway would ask another model, whatever the caller's key may ask."""
    before = len(shared.experts["sql"].asked)
    sent = {"model": "sql", **body, name: value}
    answer = await shared.http.post(f"/v1/{path}", json=sent)
    assert answer.status_code == 400
    assert f"{name} would let an upstream choose" in answer.text
    assert len(shared.experts["sql"].asked) == before


@on_shared
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/route"])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"messages": []}, "messages"),
        ({"messages": "hello"}, "messages"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "role"),
        ({"messages": [{"role": "user", "content": "  "}]}, "no text"),
        ({"messages": [{"role": "user"}]}, "no text"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": 3}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": "x"}}, "include_usage"),
        ({"n": 0}, "n"),
        ({"n": 17}, "n"),
        ({"routing": {"k": 3}}, "routing.k"),
        ({"routing": {"max_price": 1}}, "routing.max_price"),
        ({"routing": {"max_cost_usd": -1}}, "routing.max_cost_usd"),
        ({"routing": {"priority": "now"}}, "routing.priority"),
        ({"routing": {"experts_allow": ["nobody"]}}, "nobody"),
        ({"routing": {"experts_allow": []}}, "leave none"),
        ({"routing": "cheap"}, "routing"),
        ({"model": 5}, "model"),
        ({"model": ""}, "model"),
    ],
)
async def test_bad_input_is_refused_with_its_place(
    shared: Web, path: str, change: dict[str, Any], words: str
) -> None:
    """A 4xx in OpenAI's shape that names what is wrong; nobody is asked."""
    before = len(shared.experts["sql"].asked)
    answer = await shared.http.post(path, json={"messages": [HELLO], **change})
    assert 400 <= answer.status_code < 500
    error = answer.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert words in f"{error['param']}: {error['message']}"
    assert len(shared.experts["sql"].asked) == before


@on_shared
async def test_fields_that_are_null_have_their_defaults(shared: Web) -> None:
    """As in OpenAI's API."""
    nulls = dict.fromkeys(("stream", "stream_options", "n", "temperature", "stop", "tools"))
    answer = await shared.http.post("/v1/chat/completions", json={"messages": [HELLO], **nulls})
    assert answer.status_code == 200
    assert answer.json()["object"] == "chat.completion"


@on_shared
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"messages": [HELLO]}),
        ("/v1/responses", {"input": "hello"}),
        ("/v1/messages", {"messages": [HELLO], "max_tokens": 10}),
        ("/v1/messages/count_tokens", {"messages": [HELLO]}),
    ],
)
async def test_a_model_that_is_null_is_auto(shared: Web, path: str, body: Any) -> None:
    """In every protocol; so is `routing` without wishes."""
    nulls = {"model": None} | ({} if path.endswith("tokens") else {"routing": None})
    answer = await shared.http.post(path, json=body | nulls)
    assert answer.status_code == 200, answer.text


@on_shared
async def test_a_model_that_nobody_knows_is_refused_with_those_that_are(shared: Web) -> None:
    """Virtual ones and experts."""
    answer = await shared.chat(model="gtp")
    assert answer.status_code == 404
    error = answer.json()["error"]
    assert (error["code"], error["param"]) == ("model_not_found", "model")
    assert "auto" in error["message"]
    assert "sql" in error["message"]


@pytest.mark.parametrize("name", ["sql", "general"])
async def test_a_named_expert_answers_whoever_would_be_better(web: Web, name: str) -> None:
    """The policy says so."""
    labels = (await web.chat("lists 1", model=name)).json()["collegium"]
    assert (labels["decision"]["expert"], labels["decision"]["policy"]) == (name, "named")


async def test_a_query_unlike_all_marked_ones_goes_to_the_generalist(web: Web) -> None:
    """By the overall rates; the decision tells how strange it is."""
    decision = (await web.chat("weather 1")).json()["collegium"]["decision"]
    assert (decision["expert"], decision["policy"]) == ("general", "quality")
    assert decision["ood_score"] == 1.0
    assert all(0 < f["deviation"] < 0.5 for f in decision["forecasts"])


async def test_a_message_in_parts_is_read(web: Web) -> None:
    """The text of each; the expert gets them as they came."""
    parts = [{"type": "text", "text": "sql 1"}]
    body = {"messages": [{"role": "user", "content": parts}]}
    answer = await web.http.post("/v1/chat/completions", json=body)
    assert answer.json()["model"] == "sql"
    assert web.experts["sql"].asked[0].body["messages"][0]["content"] == parts


@on_shared
async def test_limits_that_nobody_fits_name_the_nearest(shared: Web) -> None:
    """The refusal says which limit binds and what would be feasible."""
    answer = await shared.chat(routing={"max_latency_ms": 0.001})
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert (error["code"], error["param"]) == ("no_feasible_expert", "routing")
    assert "max_latency_ms=0.001" in error["message"]
    assert "nearest feasible" in error["message"]


async def test_allow_and_deny_bind_the_choice(web: Web) -> None:
    """The decision keeps to the experts that the request allows."""
    routing = {"experts_allow": ["lists", "sql"], "experts_deny": ["sql"]}
    answer = await web.chat("sql 1", routing=routing)
    assert answer.json()["model"] == "lists"


async def test_a_dear_expert_makes_way_for_a_cheaper_one(web: Web) -> None:
    """Where a limit or the trade-off says so."""
    answer = await web.chat("sql 1", routing={"max_cost_usd": 0})
    assert answer.json()["model"] == "lists"
    cheap = await web.chat("sql 1", routing={"tradeoff": 10})
    best = await web.chat("sql 1", model="collegium/best")
    assert (cheap.json()["model"], best.json()["model"]) == ("lists", "sql")
    tolerated = [a.json()["collegium"]["decision"]["tolerated"] for a in (cheap, best)]
    assert tolerated == [1.0, 0.0]


async def test_a_promise_by_name_is_told(web: Web) -> None:
    """What `cheap` costs in quality and saves, on the marked prompts."""
    decision = (await web.chat("sql 1", model="collegium/cheap")).json()["collegium"]["decision"]
    assert decision["expert"] == "sql"  # nobody else is right often enough
    assert "On 150 marked prompts this trade-off" in decision["reason"]


# --- sessions ---

SESSION = {"x-session-id": "a conversation"}
CLOSE = Expert(
    "close",
    "openai",
    "close",
    base_url=f"{ADDRESS}/close",
    skills={"sql": 0.97, "lists": 0.02, "poems": 0.02},
)


async def route(web: Web, text: str, headers: dict[str, str]) -> Any:
    body = {"messages": [{"role": "user", "content": text}]}
    return (await web.http.post("/v1/route", json=body, headers=headers)).json()


async def test_a_conversation_stays_with_its_expert(serve: Serve) -> None:
    """Where another one would gain too little; other conversations are not moved."""
    async with serve(experts=[CLOSE]) as web:
        assert (await route(web, "sql 1", SESSION))["expert"] == "sql"
        named = {"messages": [HELLO], "model": "close"}
        await web.http.post("/v1/chat/completions", json=named, headers=SESSION)
        kept = await route(web, "sql 1", SESSION)
        assert (kept["expert"], kept["policy"]) == ("close", "session")
        assert (await route(web, "sql 1", {}))["expert"] == "sql"
        assert (await route(web, "sql 1", {"x-session-id": "another"}))["expert"] == "sql"
        assert (await route(web, "lists 1", SESSION))["expert"] == "lists"


async def test_a_conversation_is_recorded_with_its_decisions(web: Web) -> None:
    """As the caller named it."""
    body = {"messages": [HELLO]}
    answer = await web.http.post("/v1/chat/completions", json=body, headers=SESSION)
    decision = answer.json()["collegium"]["decision"]["id"]
    kept = (await web.http.get(f"/v1/decisions/{decision}")).json()
    assert kept["decision"]["session"] == "a conversation"


async def test_a_conversation_is_forgotten_after_its_time(serve: Serve) -> None:
    """`session_ttl_s`."""
    async with serve(experts=[CLOSE], session_ttl_s=0.05) as web:
        named = {"messages": [HELLO], "model": "close"}
        await web.http.post("/v1/chat/completions", json=named, headers=SESSION)
        async with asyncio.timeout(20):
            while (await route(web, "sql 1", SESSION))["policy"] == "session":
                pass
        assert (await route(web, "sql 1", SESSION))["expert"] == "sql"


async def test_a_session_that_can_not_be_kept_costs_no_answer(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shared state is away."""

    async def away(*_: Any) -> None:
        raise StateUnavailable("Redis is away")

    for method in ("get", "put"):
        monkeypatch.setattr(web.parts.state, method, away)
    body = {"messages": [HELLO]}
    answer = await web.http.post("/v1/chat/completions", json=body, headers=SESSION)
    assert answer.status_code == 200


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/route"])
async def test_a_sessions_name_may_be_so_long_only(web: Web, path: str) -> None:
    """128 characters."""
    body = {"messages": [HELLO]}
    for length, status in ((128, 200), (129, 400)):
        headers = {"x-session-id": "x" * length}
        answer = await web.http.post(path, json=body, headers=headers)
        assert answer.status_code == status
    assert "128" in answer.json()["error"]["message"]
