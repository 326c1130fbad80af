"""`auto` finds somebody who can, or says why nobody can: the whole way of a request."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.web.conftest import Serve, Web
from tests.web.fakes import ADDRESS, GENERAL

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
LARGE = replace(GENERAL, name="large", base_url=f"{ADDRESS}/large", context_window=100_000)


async def can(web: Web, name: str, **capabilities: Any) -> None:
    """Say what an expert can do, as an operator does."""
    changed = await web.http.patch(f"/v1/experts/{name}", json={"capabilities": capabilities})
    assert changed.status_code == 200, changed.text


def asked(web: Web, *names: str) -> list[int]:
    """How often each was asked."""
    return [len(web.experts[name].asked) for name in names]


async def test_tools_go_to_who_takes_them(web: Web) -> None:
    """Whoever is best at the question; the report names the rule that leaves the others out."""
    await can(web, "sql", tools=False)
    answered = await web.chat("sql 1", tools=[TOOL])
    assert answered.status_code == 200
    assert answered.headers["x-collegium-expert"] != "sql"
    assert (await web.chat("sql 1")).headers["x-collegium-expert"] == "sql"
    told = await web.http.post(
        "/v1/route", json={"messages": [{"role": "user", "content": "sql 1"}], "tools": [TOOL]}
    )
    notes = {f["expert"]: f["note"] for f in told.json()["forecasts"]}
    assert notes["sql"] == "not eligible: takes no tools"
    assert "Left out: sql takes no tools." in told.json()["reason"]


async def test_nobody_who_can_is_said_before_anybody_is_asked(web: Web) -> None:
    """With the field that asks for it, and how to mend what is known."""
    for name in ("sql", "lists", "general"):
        await can(web, name, json_schema=False)
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}
    refused = await web.chat("sql 1", response_format=form)
    error = refused.json()["error"]
    assert (refused.status_code, error["code"]) == (422, "no_feasible_expert")
    assert error["param"] == "response_format"
    for words in ("sql keeps to no JSON schema", "lists keeps", "expert update NAME --can"):
        assert words in error["message"]
    assert asked(web, "sql", "lists", "general") == [0, 0, 0]


@pytest.mark.parametrize("model", ["narrow", "collegium/auto"])
async def test_a_prompt_near_the_window_keeps_its_length_and_one_far_beyond_is_refused(
    serve: Serve, model: str
) -> None:
    """Named or routed: an answer of one token helps nobody, and neither does a hopeless call."""
    narrow = replace(GENERAL, name="narrow", base_url=f"{ADDRESS}/narrow", context_window=8000)
    only = {} if model == "narrow" else {"routing": {"experts_allow": ["narrow"]}}
    async with serve(experts=[narrow]) as web:
        for count in (7000, 7900, 13_000):
            near = await web.chat("word " * count, model=model, max_tokens=100, **only)
            assert near.status_code == 200, near.text
            assert web.experts["narrow"].asked[-1].body["max_tokens"] == 100
            assert "x-collegium-adjusted" not in near.headers
        beyond = await web.chat("word " * 20_000, model=model, max_tokens=100, **only)
        error = beyond.json()["error"]
        assert (beyond.status_code, error["code"]) == (400, "context_length_exceeded")
        assert "narrow has a window of 8000 tokens" in error["message"]
        assert asked(web, "narrow") == [3]


async def test_a_message_with_only_an_image_is_routed_by_that(web: Web) -> None:
    """Not by an older turn's text; and its parts come to the expert as they were."""
    await can(web, "sql", images=False)
    await can(web, "lists", images=False)
    older = [{"role": "user", "content": "sql 1"}, {"role": "assistant", "content": "a"}]
    messages = [*older, {"role": "user", "content": [IMAGE]}]
    answered = await web.http.post("/v1/chat/completions", json={"messages": messages})
    assert answered.status_code == 200
    assert answered.headers["x-collegium-expert"] == "general"
    assert web.experts["general"].asked[0].body["messages"] == messages


async def test_of_what_nobody_knows_a_message_without_text_goes_to_the_generalist(
    web: Web,
) -> None:
    """Its older turn would have gone to the specialist."""
    for content in (
        [IMAGE],
        [{"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}],
        [{"type": "file", "file": {"file_id": "file-1"}}],
    ):
        older = [{"role": "user", "content": "sql 1"}, {"role": "assistant", "content": "a"}]
        body = {"messages": [*older, {"role": "user", "content": content}]}
        answered = await web.http.post("/v1/chat/completions", json=body)
        assert answered.headers["x-collegium-expert"] == "general"


async def test_a_message_with_nothing_is_refused(web: Web) -> None:
    """There is nothing to answer."""
    refused = await web.chat("")
    assert refused.status_code == 400
    assert "nothing to answer" in refused.json()["error"]["message"]


async def test_a_length_that_fits_nobody_is_lowered_and_said(serve: Serve) -> None:
    """In the header and in the body, whole and streamed; of a named expert too."""
    async with serve() as web:
        for name in ("sql", "lists", "general"):
            await can(web, name, window_known=True)
        for model in ("auto", "sql"):
            whole = await web.chat("sql 1", model=model, max_tokens=4096)
            assert whole.status_code == 200
            adjusted = whole.headers["x-collegium-adjusted"]
            assert whole.json()["collegium"]["outcome"]["adjusted"] == [adjusted]
            streamed = await web.chat("sql 1", model=model, max_tokens=4096, stream=True)
            assert streamed.headers["x-collegium-adjusted"] == adjusted
            sent = web.experts["sql"].asked[-1].body["max_tokens"]
            assert adjusted == f"max_tokens={sent}"
            assert 1900 < sent < 2048
        fits = await web.chat("sql 1", max_tokens=100)
        assert "x-collegium-adjusted" not in fits.headers
        assert "adjusted" not in fits.json()["collegium"]["outcome"]


async def test_a_larger_expert_is_chosen_before_a_length_is_lowered(serve: Serve) -> None:
    """Where one is registered."""
    async with serve(experts=[LARGE]) as web:
        for name in ("sql", "lists", "general"):
            await can(web, name, window_known=True)
        answered = await web.chat("sql 1", max_tokens=4096)
        assert answered.headers["x-collegium-expert"] == "large"
        assert web.experts["large"].asked[0].body["max_tokens"] == 4096
        assert (await web.chat("sql 1", max_tokens=99)).headers["x-collegium-expert"] == "sql"


async def test_what_an_expert_can_is_shown_and_found_out(serve: Serve) -> None:
    """In the list of models and of experts; a new probe leaves alone what a person said."""
    new = {"name": "new", "kind": "litellm", "model": "openai/new"}
    async with serve() as web:
        added = await web.http.post(
            "/v1/experts",
            json={**new, "capabilities": {"tools": False}, "labels": {"residency": "eu"}},
        )
        told = added.json()["probe"]["capabilities"]
        assert (told["tools"], told["images"], told["developer_role"]) == (False, None, True)
        asked = [call.body for call in web.experts["new"].asked]
        assert not any(body.get("tools") for body in asked)
        assert added.json()["probe"]["tokens"] == 9 * len(asked)
        await can(web, "new", tools=None, images=True)
        web.experts["new"].message = {"tool_calls": [{"id": "a"}, {"id": "b"}]}
        again = await web.http.post("/v1/experts/new/probe")
        told = again.json()["probe"]["capabilities"]
        assert (told["tools"], told["parallel_tools"], told["images"]) == (True, True, True)
        rows = (await web.http.get("/v1/models")).json()["data"]
        shown = next(row for row in rows if row["id"] == "new")["collegium"]
        assert shown["capabilities"] == told
        assert shown["labels"] == {"residency": "eu"}
        unlabelled = await web.http.patch("/v1/experts/new", json={"labels": {"residency": None}})
        assert unlabelled.json()["labels"] == {}


async def test_capabilities_that_are_none_are_refused(web: Web) -> None:
    """The message names the field."""
    for capabilities in ({"smell": True}, {"tools": "yes"}):
        refused = await web.http.patch("/v1/experts/sql", json={"capabilities": capabilities})
        assert refused.status_code == 400
        assert next(iter(capabilities)) in refused.json()["error"]["message"]


async def test_a_refusal_teaches_the_next_decision(web: Web) -> None:
    """As the clients note it."""
    sql = next(e for e in await web.parts.catalogue.now() if e.name == "sql")
    web.parts.pool.learned.note_refusal(sql, "tools", "127.0.0.1")
    answered = await web.chat("sql 1", tools=[TOOL])
    assert answered.headers["x-collegium-expert"] != "sql"


async def test_one_callers_refusal_keeps_nobody_else_from_an_expert(web: Web) -> None:
    """Its words may be the caller's own; and of what is known nothing is learned."""
    sql = next(e for e in await web.parts.catalogue.now() if e.name == "sql")
    web.parts.pool.learned.note_refusal(sql, "tools", "another")
    answered = await web.chat("sql 1", tools=[TOOL])
    assert answered.headers["x-collegium-expert"] == "sql"
    sure = replace(sql, capabilities={"tools": True})
    web.parts.pool.learned.note_refusal(sure, "tools", "127.0.0.1")
    assert web.parts.pool.learned.lacking([sure], "127.0.0.1") == {}


async def test_a_request_can_require_where_its_expert_is(web: Web) -> None:
    """By labels, tags and addresses; a named expert has to keep to it as well."""
    labels = {"residency": "eu", "local": "yes"}
    await web.http.patch("/v1/experts/lists", json={"labels": labels, "tags": ["fast"]})
    for require in ({"residency": ["EU"]}, {"local": True}, "local", {"tags": ["fast"]}):
        answered = await web.chat("sql 1", routing={"require": require})
        assert answered.headers["x-collegium-expert"] == "lists"
    refused = await web.chat("sql 1", routing={"require": {"licence": ["mit"]}})
    assert refused.status_code == 422
    assert "sql has no licence. Relax" in refused.json()["error"]["message"]
    named = await web.chat("sql 1", model="sql", routing={"require": "local"})
    assert (named.status_code, named.json()["error"]["param"]) == (422, "routing.require")
    panel = await web.chat("sql 1", model="collegium/vote", routing={"require": "local", "k": 2})
    assert panel.status_code == 422
    assert asked(web, "sql", "general") == [0, 0]


async def test_a_stand_in_keeps_to_the_rules_too(web: Web) -> None:
    """Whoever answers for an expert that failed."""
    for name in ("sql", "lists"):
        await web.http.patch(f"/v1/experts/{name}", json={"labels": {"residency": "eu"}})
    from collegium.errors import ExpertUnavailable

    web.experts["sql"].refuses = ExpertUnavailable("sql", "down")
    answered = await web.chat("sql 1", routing={"require": {"residency": ["eu"]}})
    assert answered.headers["x-collegium-expert"] == "lists"
    named = await web.chat(
        "sql 1", model="sql", routing={"require": {"residency": ["eu"]}, "failover": True}
    )
    assert named.headers["x-collegium-expert"] == "lists"
    assert asked(web, "general") == [0]


async def test_an_application_can_require_it_of_all_its_requests(web: Web) -> None:
    """A request can narrow that, never widen it; the report names the rule."""
    await web.http.patch("/v1/experts/lists", json={"labels": {"residency": "eu"}})
    await web.http.patch("/v1/experts/general", json={"labels": {"residency": "us"}})
    desk = {"metadata": {"application": "desk"}}
    await web.chat("sql 1", **desk)
    policy = {"policy": {"require": {"residency": ["eu", "us"]}}}
    shown = await web.http.patch("/v1/applications/desk", json=policy)
    assert shown.json()["policy"] == policy["policy"]
    answered = await web.chat("sql 1", **desk)
    assert answered.headers["x-collegium-expert"] in ("lists", "general")
    assert "sql has no residency" in answered.json()["collegium"]["decision"]["reason"]
    only = await web.chat("sql 1", **desk, routing={"require": {"residency": ["eu", "sql"]}})
    assert only.headers["x-collegium-expert"] == "lists"
    named = await web.chat("sql 1", model="sql", **desk)
    assert named.status_code == 422
    assert "as it has no residency" in named.json()["error"]["message"]


async def test_what_was_required_is_recorded(web: Web) -> None:
    """With the decision's other limits."""
    answered = await web.chat("sql 1", routing={"require": {"tags": []}})
    assert answered.status_code == 200
    await web.http.patch("/v1/experts/lists", json={"tags": ["eu"]})
    answered = await web.chat("sql 1", routing={"require": {"tags": ["eu"]}})
    decision = answered.json()["collegium"]["decision"]["id"]
    await web.parts.background.finish()
    kept = (await web.http.get(f"/v1/decisions/{decision}")).json()["decision"]["limits"]
    assert kept["require"]["tags"] == ["eu"]
