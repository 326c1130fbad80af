"""Many opinions at once: each line is answered for itself."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from sqlalchemy import event

from collegium.web.routes import feedback
from collegium.web.serving import feedback as serving
from tests.web.conftest import Web
from tests.web.test_feedback import asked, kept

BULK = "/v1/feedback/bulk"
CHAT = {"model": "sql", "messages": [{"role": "user", "content": "sql 1"}]}


async def send(web: Web, lines: list[Any], **headers: str) -> list[Any]:
    """Send lines of JSON; return their answers."""
    text = "\n".join(each if isinstance(each, str) else json.dumps(each) for each in lines)
    headers = {"content-type": "application/jsonl"} | headers
    answer = await web.http.post(BULK, content=text, headers=headers)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["data"])


async def test_a_line_that_is_wrong_harms_no_other(web: Web) -> None:
    """Each has its number and its status, in order."""
    decision = await asked(web)
    good = {"decision_id": decision, "score": 0.5}
    found = await send(
        web,
        [
            good,
            "no JSON",
            {"decision_id": "dec_none", "score": 1},
            {"decision_id": decision, "score": 2},
            {"decision_id": decision, "preferred": "nobody"},
            good | {"score": 1},
        ],
    )
    assert [each["line"] for each in found] == [1, 2, 3, 4, 5, 6]
    assert [each["status"] for each in found] == [200, 400, 404, 400, 422, 200]
    assert [each["error"]["code"] for each in found if "error" in each] == [
        "invalid_json",
        "decision_not_found",
        "invalid_request",
        "unknown_preferred",
    ]
    assert found[3]["error"]["param"] == "score"
    assert [each["score"] for each in await kept(web, decision)] == [0.5, 1.0]


async def test_a_list_is_taken_as_lines_are(web: Web) -> None:
    """As JSON."""
    decision = await asked(web)
    answer = await web.http.post(BULK, json=[{"decision_id": decision, "score": 0.5}, 7])
    first, second = answer.json()["data"]
    assert (first["status"], first["decision_id"]) == (200, decision)
    assert (second["line"], second["status"]) == (2, 400)


async def test_what_is_sent_again_counts_once(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the header and the line's number, or by the line's own id, also within one request."""
    monkeypatch.setattr(feedback, "AT_ONCE", 2)
    decision = await asked(web)
    lines = [
        {"decision_id": decision, "score": score / 10, "id": name}
        for score, name in enumerate(["a", "b", "a", None, None])
    ]
    key = {"idempotency-key": "import-1"}
    first = await send(web, lines, **key)
    assert await send(web, lines, **key) == first
    assert first[2]["id"] == first[0]["id"]
    assert [each["score"] for each in await kept(web, decision)] == [0.0, 0.1, 0.3, 0.4]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ("{", "application/json"),
        ('{"score": 1}', "application/json"),
        ("[" * 100_000, "application/json"),
        (b'["\xff', "application/json"),
        ("\n" * 1_000_000, "application/jsonl"),
        ("[" + "0," * 1_000_000, "application/json"),
        ("{}", "text/plain"),
    ],
)
async def test_a_body_that_is_no_list_is_refused(web: Web, content: str | bytes, kind: str) -> None:
    """As a whole."""
    answer: httpx.Response = await web.http.post(
        BULK, content=content, headers={"content-type": kind}
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request")


async def test_too_many_lines_are_refused(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before any is taken."""
    monkeypatch.setattr(feedback, "MOST_LINES", 1)
    decision = await asked(web)
    body = [{"decision_id": decision, "score": 1}] * 2
    answer = await web.http.post(BULK, json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request")
    assert await kept(web, decision) == []


async def test_an_answer_has_a_limited_number_of_ratings(web: Web) -> None:
    """They are read with it: in one request, in several, and by its session."""
    headers = {"x-session-id": "s"}
    full, other = [
        (await web.http.post("/v1/chat/completions", json=CHAT, headers=headers)).json()[
            "collegium"
        ]["decision"]["id"]
        for _ in range(2)
    ]
    most = serving.MOST_RATINGS
    rating = {"decision_id": full, "score": 0.5}
    found = await send(web, [rating] * (most + 1))
    assert [each["status"] for each in found] == [200] * most + [400]
    assert (await web.http.post("/v1/feedback", json=rating)).status_code == 400
    (said,) = await send(web, [{"session": "s", "scope": "session", "score": 1}])
    assert [each["decision_id"] for each in said["data"]] == [other]
    assert len(await kept(web, full)) == most


async def test_ratings_of_sessions_reach_a_limited_number_of_answers(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of 10,000 lines may name a session of 1,000 answers."""
    monkeypatch.setattr(serving, "MOST_REACHED", 2)
    headers = {"x-session-id": "s"}
    await web.http.post("/v1/chat/completions", json=CHAT, headers=headers)
    line = {"session": "s", "scope": "session", "score": 1}
    found = await send(web, [line] * 4)
    assert [each["status"] for each in found] == [200, 200, 400, 400]


async def test_sessions_are_looked_up_together(web: Web) -> None:
    """Ten thousand that there are not took half a minute, one by one; owners see their own only."""
    ids = {}
    for session in ("s\0", "t", "t"):
        body = CHAT | {"prompt_cache_key": session}
        answer = await web.http.post("/v1/chat/completions", json=body)
        ids[session] = answer.json()["collegium"]["decision"]["id"]
    await web.parts.background.finish()
    lines = [{"session": name, "score": 1} for name in ("none", "t", "s\0", "t", "none\0")]
    asked = statements(web)
    found = await send(web, lines + [{"session": f"none-{n}", "score": 1} for n in range(190)])
    assert [each["status"] for each in found[:5]] == [404, 200, 200, 200, 404]
    assert [each["decision_id"] for each in found[1:4]] == [ids["t"], ids["s\0"], ids["t"]]
    assert all(each["error"]["param"] == "session" for each in found[5:])
    assert sum("FROM decisions" in each for each in asked) < 10
    log = web.parts.log
    assert (await log.latest_of_sessions("other", ["s\0", "t"])) == {}


def statements(web: Web) -> list[str]:
    """The statements that the database gets from now on."""
    found: list[str] = []

    def note(_c: Any, _u: Any, statement: str, *_: Any) -> None:
        found.append(statement)

    event.listen(web.parts.database._engine.sync_engine, "before_cursor_execute", note)
    return found
