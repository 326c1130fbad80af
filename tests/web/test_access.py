"""Who may call: keys, hosts, and bodies that are too large or can't be read."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.web.access import ADMIN, CALLER, HELLO, KEYS, bearer, code
from tests.web.conftest import Serve, Web, on_shared

GUARDED = [
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/route"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/sql"),
    ("POST", "/v1/completions"),
    ("POST", "/v1/embeddings"),
    ("POST", "/v1/rerank"),
    ("POST", "/v1/feedback"),
    ("POST", "/v1/feedback/bulk"),
    ("GET", "/v1/decisions"),
    ("DELETE", "/v1/decisions"),
    ("GET", "/v1/decisions/dec_0"),
    ("DELETE", "/v1/decisions/dec_0"),
    ("GET", "/v1/usage"),
    ("GET", "/v1/usage/comparison"),
    ("GET", "/v1/experts"),
    ("GET", "/v1/experts/status"),
    ("POST", "/v1/experts"),
    ("PATCH", "/v1/experts/sql"),
    ("DELETE", "/v1/experts/sql"),
    ("POST", "/v1/files"),
    ("GET", "/v1/files"),
    ("GET", "/v1/files/file-0"),
    ("GET", "/v1/files/file-0/content"),
    ("DELETE", "/v1/files/file-0"),
    ("POST", "/v1/batches"),
    ("GET", "/v1/batches"),
    ("GET", "/v1/batches/batch_0"),
    ("POST", "/v1/batches/batch_0/cancel"),
    ("GET", "/v1/engines"),
    ("POST", "/v1/engines/none/restart"),
    ("GET", "/v1/engines/none/tokens"),
]
ADMINISTRATORS = [
    ("POST", "/v1/experts"),
    ("PATCH", "/v1/experts/sql"),
    ("DELETE", "/v1/experts/sql"),
    ("POST", "/v1/engines/none/restart"),
    ("GET", "/v1/engines/none/tokens"),
]
OPEN = [
    "/",
    "/console",
    "/healthz",
    "/readyz",
    "/static/css/base.css",
    "/openapi.json",
    "/docs",
]


@pytest.fixture
async def guarded(serve: Serve) -> AsyncIterator[Web]:
    """A service with an administrator's key and a caller's."""
    async with serve(**KEYS) as web:
        yield web


async def test_every_route_of_the_api_wants_a_key(guarded: Web) -> None:
    """Without one, and with a wrong one, before anything else is looked at."""
    wrong = [{}, bearer("wrong"), bearer(""), {"authorization": f"Basic {ADMIN}"}]
    for method, path in GUARDED:
        guarded.parts.wrong_keys._wrong.clear()  # they are more than one address may send
        for headers in wrong:
            answer = await guarded.http.request(method, path, headers=headers)
            assert code(answer) == (401, "invalid_api_key"), path
            assert "Authorization: Bearer KEY" in answer.json()["error"]["message"]


async def test_the_page_and_what_watches_the_service_want_none(guarded: Web) -> None:
    """They tell nothing of anybody."""
    for path in OPEN:
        assert (await guarded.http.get(path)).status_code == 200, path


async def test_metrics_are_for_those_who_see_everything(guarded: Web) -> None:
    """Their labels name applications and budgets; Prometheus sends a key like anybody else."""
    assert code(await guarded.http.get("/metrics")) == (401, "invalid_api_key")
    assert code(await guarded.http.get("/metrics", headers=bearer(CALLER))) == (403, "forbidden")
    made = await guarded.http.post(
        "/v1/keys", json={"name": "prometheus", "role": "read-only"}, headers=bearer(ADMIN)
    )
    for key in (ADMIN, made.json()["key"]):
        page = await guarded.http.get("/metrics", headers=bearer(key))
        assert page.status_code == 200
        assert "collegium_keys" in page.text


async def test_a_callers_key_asks_and_changes_nothing(guarded: Web) -> None:
    """403 for the rest."""
    for method, path in ADMINISTRATORS:
        body = None if method in ("GET", "DELETE") else {"name": "x", "kind": "litellm"}
        answer = await guarded.http.request(method, path, json=body, headers=bearer(CALLER))
        assert code(answer) == (403, "forbidden"), path
    answer = await guarded.http.post("/v1/chat/completions", json=HELLO, headers=bearer(CALLER))
    assert answer.status_code == 200
    for path in ("/v1/models", "/v1/experts", "/v1/engines", "/v1/files", "/v1/batches"):
        assert (await guarded.http.get(path, headers=bearer(CALLER))).status_code == 200


async def test_the_administrators_key_does_everything(guarded: Web) -> None:
    """Whoever has it."""
    change = {"description": "changed"}
    changed = await guarded.http.patch("/v1/experts/sql", json=change, headers=bearer(ADMIN))
    assert changed.json()["description"] == "changed"
    answer = await guarded.http.post("/v1/chat/completions", json=HELLO, headers=bearer(ADMIN))
    assert answer.status_code == 200


async def test_no_answer_tells_a_key(guarded: Web) -> None:
    """Not even to who has one."""
    for path in (*OPEN, "/v1/experts", "/v1/models"):
        text = (await guarded.http.get(path, headers=bearer(ADMIN))).text
        assert ADMIN not in text
        assert CALLER not in text


@on_shared
@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "localhost@evil.example", "[", ""]
)
async def test_a_page_of_another_site_is_refused(shared: Web, host: str) -> None:
    """DNS rebinding: a foreign Host header reaches nothing."""
    answer = await shared.http.get("/v1/models", headers={"host": host})
    assert code(answer) == (400, "invalid_request")
    assert answer.json()["error"]["param"] == "host"


@on_shared
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8000", "[::1]:8000", "LOCALHOST"])
async def test_this_machines_names_are_its_own(shared: Web, host: str) -> None:
    """With any port."""
    assert (await shared.http.get("/v1/models", headers={"host": host})).status_code == 200


@pytest.mark.parametrize("settings", [KEYS, {"host": "0.0.0.0"}], ids=["a key", "all addresses"])
async def test_other_hosts_are_for_services_that_others_reach(
    serve: Serve, settings: dict[str, Any]
) -> None:
    """With a key, or where the settings open the service to a network."""
    async with serve(**settings) as web:
        headers = {"host": "collegium.example", **bearer(ADMIN)}
        assert (await web.http.get("/v1/models", headers=headers)).status_code == 200


# --- bodies ---


@pytest.mark.parametrize("chunked", [False, True], ids=["declared", "chunked"])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/experts", "/v1/feedback"])
async def test_a_body_that_is_too_large_is_refused(serve: Serve, path: str, chunked: bool) -> None:
    """Whether it says its length or not."""

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 2**10

    async with serve(max_body_mib=0.01) as web:
        content: Any = pieces() if chunked else b"x" * 20 * 2**10
        answer = await web.http.post(path, content=content)
        assert code(answer) == (413, "body_too_large")
        assert "larger than 0.01 MiB" in answer.json()["error"]["message"]
        assert (await web.chat("sql 1")).status_code == 200


JSON_ROUTES = [
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/route"),
    ("POST", "/v1/feedback"),
    ("POST", "/v1/experts"),
    ("PATCH", "/v1/experts/sql"),
    ("POST", "/v1/batches"),
]


@on_shared
@pytest.mark.parametrize(("method", "path"), JSON_ROUTES)
async def test_broken_json_is_said_to_be_broken(shared: Web, method: str, path: str) -> None:
    """The message is about JSON, not about a missing field."""
    headers = {"content-type": "application/json"}
    for content in (b'{"model": "auto",', b'{"x": "\xff"}', b"nothing", b"[" * 100_000):
        answer = await shared.http.request(method, path, content=content, headers=headers)
        assert code(answer) == (400, "invalid_json"), content[:20]
        assert "not valid JSON" in answer.json()["error"]["message"]


@on_shared
@pytest.mark.parametrize(("method", "path"), JSON_ROUTES)
async def test_what_is_not_sent_as_json_is_not_read(shared: Web, method: str, path: str) -> None:
    """Another site's page can send text without asking, and must not change anything."""
    before = len(shared.experts["sql"].asked)
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/jsonp"):
        headers = {"content-type": kind}
        content = json.dumps({**HELLO, "description": "changed"})
        answer = await shared.http.request(method, path, content=content, headers=headers)
        assert code(answer) == (400, "invalid_request"), kind
    assert len(shared.experts["sql"].asked) == before


@on_shared
@pytest.mark.parametrize(("method", "path"), JSON_ROUTES)
@pytest.mark.parametrize("body", [[1], "text", 5, None])
async def test_a_body_that_is_no_object_is_refused(
    shared: Web, method: str, path: str, body: Any
) -> None:
    """Whatever else it is."""
    content, headers = json.dumps(body), {"content-type": "application/json"}
    answer = await shared.http.request(method, path, content=content, headers=headers)
    assert code(answer) == (400, "invalid_request")


@on_shared
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/nothing", 404),
        ("GET", "/v1/chat/completions", 405),
        ("PUT", "/v1/experts/sql", 405),
        ("POST", "/healthz", 405),
        ("GET", "/static/nothing.js", 404),
    ],
)
async def test_what_there_is_not_is_an_error_in_the_same_shape(
    shared: Web, method: str, path: str, status: int
) -> None:
    """No such path, or no such method."""
    answer = await shared.http.request(method, path)
    assert code(answer) == (status, "http_error")
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert ("allow" in answer.headers) == (status == 405)
