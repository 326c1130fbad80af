"""Experts that fail: who answers instead, and what callers are told when nobody does."""

from __future__ import annotations

import logging

import pytest

from collegium.errors import (
    CapabilityMissing,
    ContentRefused,
    ExpertBusy,
    ExpertError,
    ExpertRejected,
    ExpertTimeout,
    ExpertUnavailable,
    PromptTooLong,
)
from tests.web.conftest import Serve, Web
from tests.web.fakes import delta
from tests.web.reading import chunks, events, said

both_ways = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
PASSING = [
    ExpertError("sql", "is broken"),
    ExpertUnavailable("sql", "is down"),
    ExpertBusy("sql", "is full"),
    ExpertTimeout("sql", "was late"),
]
REFUSED = [
    (ExpertRejected("sql", "no", 418), 418, "expert_rejected"),
    (PromptTooLong("too long", "messages"), 400, "context_length_exceeded"),
    (CapabilityMissing("sql", "no", capability="images"), 400, "capability_missing"),
]


@pytest.mark.parametrize("error", PASSING, ids=lambda e: e.code)
async def test_another_expert_answers_when_the_first_can_not(web: Web, error: ExpertError) -> None:
    """The answer, the record and the metrics name who answered and who was tried."""
    web.experts["sql"].refuses = error
    response = await web.chat("sql 1")
    body = response.json()
    outcome = body["collegium"]["outcome"]
    assert body["model"] == outcome["expert"] == response.headers["x-collegium-expert"] == "general"
    (tried,) = outcome["tried"]
    assert (tried["expert"], tried["code"], tried["error"]) == ("sql", error.code, str(error))
    recorded = await web.outcome(body["collegium"]["decision"]["id"])
    assert recorded["expert"] == "general"
    assert recorded["tried"] == outcome["tried"]
    failed = f" Asked before the expert that answered, but failed: sql ({error.code})."
    decision = body["collegium"]["decision"]
    kept = (await web.http.get(f"/v1/decisions/{decision['id']}")).json()["decision"]
    assert decision["reason"] == kept["reason"] + failed
    metrics = await web.metrics()
    assert metrics['collegium_answers_total{expert="general",status="ok"}'] == 1
    assert metrics['collegium_decisions_total{expert="sql",policy="quality"}'] == 1


async def test_a_stream_of_another_expert_bears_its_name(web: Web) -> None:
    """From the first chunk on, which also tells who was asked in vain."""
    web.experts["sql"].refuses = ExpertUnavailable("sql", "is down")
    response = await web.chat("sql 1", stream=True)
    found = chunks(response.text)
    labels = found[0]["collegium"]
    assert labels["decision"]["expert"] == "sql"
    assert labels["expert"] == response.headers["x-collegium-expert"] == "general"
    assert found[0]["x-router-metadata"]["model"] == "general"
    assert [tried["expert"] for tried in labels["tried"]] == ["sql"]
    assert labels["decision"]["reason"].endswith("failed: sql (expert_unavailable).")
    assert {chunk["model"] for chunk in found} == {"general"}
    assert said(found) == "hello there "


@both_ways
@pytest.mark.parametrize(("error", "status", "code"), REFUSED, ids=lambda v: getattr(v, "code", ""))
async def test_a_refusal_reaches_the_caller_when_all_refuse(
    web: Web, error: Exception, status: int, code: str, stream: bool
) -> None:
    """Another expert is asked before; the answer is an HTTP error, also of a stream."""
    web.experts["sql"].refuses = error
    answered = await web.chat("sql 1", stream=stream)
    assert answered.headers["x-collegium-expert"] == "general"
    for name in ("lists", "general"):
        web.experts[name].refuses = error
    response = await web.chat("sql 1", stream=stream)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    assert "also asked: 'general'" in response.json()["error"]["message"]


@both_ways
async def test_a_content_policy_is_not_asked_around(web: Web, stream: bool) -> None:
    """Its refusal is an answer; to look for somebody with another policy would be none."""
    web.experts["sql"].refuses = ContentRefused("sql", "was flagged", 400)
    response = await web.chat("sql 1", stream=stream)
    assert (response.status_code, response.json()["error"]["code"]) == (400, "content_filter")
    assert web.experts["general"].asked == []
    filtered = [delta({"role": "assistant", "content": ""}), delta({}, "content_filter")]
    web.experts["sql"].refuses, web.experts["sql"].chunks = None, filtered
    found = chunks((await web.chat("sql 1", stream=True)).text)
    assert found[-1]["choices"][0]["finish_reason"] == "content_filter"
    assert web.experts["general"].asked == []


async def test_the_request_itself_is_not_asked_of_everybody(web: Web) -> None:
    """Two that refuse alike are enough."""
    for name in ("sql", "general", "lists"):
        web.experts[name].refuses = ExpertRejected(name, "bad request", 400)
    assert (await web.chat("sql 1")).status_code == 400
    assert [len(web.experts[n].asked) for n in ("sql", "general", "lists")] == [1, 1, 0]


@both_ways
async def test_the_first_error_is_told_when_nobody_answers(web: Web, stream: bool) -> None:
    """With the status that it has, and when to come again."""
    for name in ("sql", "lists", "general"):
        web.experts[name].refuses = ExpertUnavailable(name, "is down", retry_after_s=9)
    response = await web.chat("sql 1", stream=stream)
    assert response.status_code == 503
    assert response.headers["retry-after"] == "9"
    assert "'sql'" in response.json()["error"]["message"]
    assert response.json()["error"]["type"] == "server_error"


@both_ways
async def test_a_named_expert_has_nobody_instead_unless_wanted(web: Web, stream: bool) -> None:
    """Who named it, meant it."""
    web.experts["sql"].refuses = ExpertUnavailable("sql", "is down")
    refused = await web.chat("sql 1", model="sql", stream=stream)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
    assert web.experts["general"].asked == []
    answered = await web.chat("sql 1", model="sql", stream=stream, routing={"failover": True})
    assert answered.headers["x-collegium-expert"] == "general"


async def test_who_wants_no_failover_gets_the_error(web: Web) -> None:
    """Also where the router chose."""
    web.experts["sql"].refuses = ExpertTimeout("sql", "was late")
    refused = await web.chat("sql 1", routing={"failover": False})
    assert (refused.status_code, refused.json()["error"]["code"]) == (504, "expert_timeout")


async def test_nobody_answers_instead_who_may_not(web: Web) -> None:
    """Limits hold for everybody who is asked."""
    web.experts["sql"].refuses = ExpertUnavailable("sql", "is down")
    response = await web.chat("sql 1", routing={"experts_allow": ["sql", "lists"]})
    assert response.headers["x-collegium-expert"] == "lists"


async def test_a_death_in_the_middle_is_one_error_event(web: Web) -> None:
    """What was said stays said, by one expert; there is no end mark."""
    web.experts["sql"].dies = ExpertUnavailable("sql", "died")
    response = await web.chat("sql 1", stream=True)
    assert response.status_code == 200
    *found, last = events(response.text)
    assert said(found) == "hello "
    assert last == {
        "error": {
            "message": "expert 'sql': died",
            "type": "server_error",
            "param": None,
            "code": "expert_unavailable",
        }
    }
    assert web.experts["general"].asked == []
    outcome = await web.outcome(found[0]["collegium"]["decision"]["id"])
    assert (outcome["status"], outcome["error"]) == ("error", "expert 'sql': died")
    assert outcome["completion_tokens"] in (1, 2)  # one until a tokenizer is loaded, two by a guess
    assert outcome["prompt_tokens"] > 0


async def test_a_bug_is_an_internal_error_and_in_the_log(
    web: Web, caplog: pytest.LogCaptureFixture
) -> None:
    """Callers don't see it, people who run the service do."""
    web.experts["sql"].refuses = ZeroDivisionError("secret")
    with caplog.at_level(logging.ERROR):
        for stream in (False, True):
            response = await web.chat("sql 1", stream=stream)
            assert response.status_code == 500
            assert response.json()["error"]["code"] == "internal_error"
            assert "secret" not in response.text
            assert response.headers["connection"] == "close"  # as uvicorn does after it
    assert caplog.text.count("ZeroDivisionError: secret") == 2


async def test_a_bug_in_the_middle_of_a_stream_is_an_error_event(
    web: Web, caplog: pytest.LogCaptureFixture
) -> None:
    """As any other failure; callers don't wait for a stream that is over."""
    web.experts["sql"].dies = ZeroDivisionError("secret")
    with caplog.at_level(logging.ERROR):
        *_, last = events((await web.chat("sql 1", stream=True)).text)
    assert last["error"]["code"] == "internal_error"
    assert "secret" not in last["error"]["message"]
    assert "ZeroDivisionError: secret" in caplog.text


async def test_an_expert_that_fails_often_is_left_alone_for_a_while(web: Web) -> None:
    """Then it is not even tried."""
    web.experts["sql"].refuses = ExpertUnavailable("sql", "is down")
    for _ in range(5):
        await web.chat("sql 1")
    asked = len(web.experts["sql"].asked)
    body = (await web.chat("sql 1")).json()
    assert (body["model"], body["collegium"]["outcome"]["tried"]) == ("general", None)
    assert len(web.experts["sql"].asked) == asked
    assert (await web.metrics())['collegium_breaker{expert="sql"}'] == 1.0


async def test_a_stream_that_does_not_begin_in_time_is_given_up(serve: Serve) -> None:
    """The next expert answers."""
    async with serve(first_token_timeout_s=0.05) as web:
        web.experts["sql"].waits = True
        found = chunks((await web.chat("sql 1", stream=True)).text)
        assert web.experts["sql"].left == 1
    assert found[0]["collegium"]["tried"][0]["code"] == "expert_timeout"
    assert found[0]["collegium"]["expert"] == "general"


async def test_an_upstream_that_ends_before_it_begins_is_an_expert_error(web: Web) -> None:
    """An empty stream is no answer."""
    web.experts["sql"].chunks = []
    response = await web.chat("sql 1", stream=True, routing={"failover": False})
    assert (response.status_code, response.json()["error"]["code"]) == (502, "expert_error")


async def test_a_second_expert_is_asked_when_the_first_is_slow(web: Web) -> None:
    """With `hedge`; the slower one's call is cancelled."""
    for _ in range(20):  # it is known how soon it usually begins
        await web.chat("sql 1", model="sql", stream=True)
    web.experts["sql"].waits = True
    response = await web.chat("sql 1", stream=True, routing={"hedge": True})
    assert chunks(response.text)[0]["collegium"]["expert"] == "general"
    assert web.experts["sql"].left == 1
