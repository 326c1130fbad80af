"""Requests that contradict themselves or name nothing: the answer says what to change."""

from __future__ import annotations

from typing import Any

import pytest

from tests.web.access import ADMIN, bearer
from tests.web.conftest import Serve, Web, on_shared

MESSAGES = [{"role": "user", "content": "sql 1"}]


@on_shared
@pytest.mark.parametrize(
    ("method", "path", "body", "param", "words"),
    [
        ("POST", "/v1/embeddings", {"input": "a", "model": "sql", "stream": True}, "stream",
         "can't be streamed"),
        ("POST", "/v1/embeddings", {"input": "a", "model": "collegium/moa"}, "model",
         "one expert's"),
        ("POST", "/v1/rerank", {"query": "a", "documents": ["b"], "model": "collegium/vote"},
         "model", "A ranking is one expert's"),
        ("POST", "/v1/responses", {"input": "a", "text": {"format": {"type": "xml"}}},
         "text.format.type", "'json_schema' or 'json_object'"),
        ("POST", "/v1/responses", {"input": "a", "prompt": {"id": "p"}}, "prompt",
         "previous_response_id"),
        ("POST", "/v1/responses",
         {"input": "a", "tools": [{"type": "function", "name": "look"}],
          "tool_choice": {"type": "allowed_tools", "tools": [], "mode": "never"}},
         "tool_choice.mode", "'auto' or 'required'"),
        ("POST", "/v1/chat/completions",
         {"messages": MESSAGES, "model": "collegium/moa", "routing": {"aggregate": "vote"}},
         "routing.aggregate", "disagree; leave one out"),
        ("POST", "/v1/chat/completions",
         {"messages": MESSAGES, "model": "collegium/vote",
          "routing": {"k": 2, "panel": {"quorum": 3}}},
         "routing", "quorum is 3 of 2 members"),
        ("POST", "/v1/feedback", {"decision_id": "dec_1"}, "verdict", "a verdict or a score"),
        ("POST", "/v1/feedback", {"decision_id": "dec_1", "source": "preferred"}, "preferred",
         "Name the preferred expert"),
        ("POST", "/v1/experts", {"name": "new"}, "kind", "`like` for a preset"),
        ("POST", "/v1/learning/runs", {}, None, "either input_file_id or from_log"),
        ("POST", "/v1/router/versions/rtr_1/promote", {"automatic": True, "share": 0.5}, "share",
         "leave `share` out"),
        ("DELETE", "/v1/decisions?before=2026", None, "before", "write a time as"),
    ],
)  # fmt: skip
async def test_the_refusal_names_the_field_and_what_to_write(
    shared: Web, method: str, path: str, body: Any, param: str | None, words: str
) -> None:
    """With status 400, in the format of the path."""
    answer = await shared.http.request(method, path, json=body)
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert words in error["message"]
    assert param is None or error["param"] == param


@on_shared
@pytest.mark.parametrize(
    ("sent", "words"),
    [
        ({"json": {"purpose": "batch"}}, "as multipart/form-data"),
        ({"data": {"purpose": "batch", "file": "a"}, "files": {"other": b"a"}}, "field `file`"),
        ({"data": {"purpose": "assistants"}, "files": {"file": b"{}"}},
         "must be 'batch' or 'learning', not 'assistants'"),
        ({"files": {"file": b"{}"}}, "not 'None'"),
        ({"data": {"purpose": "batch"}, "files": {"file": b"{}"},
          "headers": {"content-encoding": "gzip"}}, "Send files uncompressed"),
    ],
)  # fmt: skip
async def test_an_upload_that_is_not_one_is_refused(
    shared: Web, sent: dict[str, Any], words: str
) -> None:
    """By what it lacks; nothing is stored."""
    before = (await shared.http.get("/v1/files")).json()["data"]
    answer = await shared.http.post("/v1/files", **sent)
    assert (answer.status_code, words in answer.json()["error"]["message"]) == (400, True)
    assert (await shared.http.get("/v1/files")).json()["data"] == before


@on_shared
async def test_a_job_and_a_run_take_files_of_their_own_purpose(shared: Web) -> None:
    """A file of prompts to learn from is no list of requests."""
    form = {"data": {"purpose": "learning"}, "files": {"file": b'{"prompt": "sql 1"}\n'}}
    file = (await shared.http.post("/v1/files", **form)).json()["id"]  # type: ignore[arg-type]
    job = {"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    answer = await shared.http.post("/v1/batches", json=job)
    await shared.http.delete(f"/v1/files/{file}")
    assert answer.status_code == 400
    assert "has the purpose 'learning', not 'batch'" in answer.json()["error"]["message"]


@on_shared
async def test_a_window_without_a_budget_is_no_policy(shared: Web) -> None:
    """Seconds alone limit nothing."""
    await shared.chat("sql 1", metadata={"application": "desk"})
    known = (await shared.http.get("/v1/applications")).json()["data"]
    (key,) = [each["key"] for each in known if each["name"] == "desk" or each["key"] == "desk"]
    change = {"policy": {"budget_window_s": 60}}
    answer = await shared.http.patch(f"/v1/applications/{key}", json=change)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "policy.budget_window_s"


@on_shared
async def test_ratings_in_bulk_are_a_list_or_lines(shared: Web) -> None:
    """Text is neither."""
    headers = {"content-type": "text/csv"}
    answer = await shared.http.post("/v1/feedback/bulk", content="up,down", headers=headers)
    assert answer.status_code == 400
    assert "Send a list as application/json" in answer.json()["error"]["message"]


async def test_a_key_that_could_not_work_is_refused(serve: Serve) -> None:
    """Whatever is wrong with it; no key is made."""
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"name": "..."}, "1 to 64 letters"),
        ({"name": "key_1"}, "must not begin with 'key_'"),
        ({"description": "a" * 501}, "500 characters"),
        ({"allowed_experts": ["nobody"]}, "not registered: nobody"),
        ({"allowed_applications": [f"a{n}" for n in range(1001)]}, "1000"),
        ({"expires_at": "2026-01-01T00:00:00Z"}, "in the future"),
        ({"expires_at": "2999-01-01T00:00:00Z"}, "within 100 years"),
        ({"role": "team-lead"}, "needs a team"),
    ]
    async with serve(api_key=ADMIN) as web:
        for fields, words in wrong:
            body = {"name": "anna", **fields}
            answer = await web.http.post("/v1/keys", json=body, headers=bearer(ADMIN))
            assert answer.status_code in (400, 422), (fields, answer.text)
            assert words in answer.json()["error"]["message"]
        assert (await web.http.get("/v1/keys", headers=bearer(ADMIN))).json()["data"] == []
