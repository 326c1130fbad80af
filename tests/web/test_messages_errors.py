"""Errors of the Messages API have Anthropic's shape, wherever they come from."""

from __future__ import annotations

from typing import Any

import pytest

from collegium import errors
from collegium.errors import CollegiumError
from collegium.web.errors import shaped
from tests.web.access import KEYS
from tests.web.conftest import Serve, Web, on_shared
from tests.web.messages import ask, asking, error_of

JSON = {"content-type": "application/json"}
PATHS = ["/v1/messages", "/v1/messages/count_tokens"]


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (errors.PromptTooLong("too long", "messages"), 400, "invalid_request_error"),
        (errors.BudgetReached("spent"), 402, "billing_error"),
        (errors.LimitReached("too many"), 429, "rate_limit_error"),
        (errors.ExpertBusy("sql", "is full"), 429, "rate_limit_error"),
        (errors.ExpertError("sql", "broke"), 502, "api_error"),
        (errors.ExpertUnavailable("sql", "is down"), 503, "overloaded_error"),
        (errors.ExpertTimeout("sql", "was late"), 504, "timeout_error"),
        (errors.ExpertRejected("sql", "no", 403), 403, "permission_error"),
        (ZeroDivisionError(), 500, "api_error"),
    ],
)
async def test_what_experts_do(web: Web, error: Exception, status: int, kind: str) -> None:
    """By their statuses, streamed or not."""
    web.experts["sql"].refuses = error
    for stream in (False, True):
        answer = await ask(web, model="sql", stream=stream)
        assert error_of(answer)[:2] == (status, kind)
        known = isinstance(error, CollegiumError) and error.retry_after_s is not None
        assert ("retry-after" in answer.headers) == known


@on_shared
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("content", "headers", "words"),
    [
        (b"{", JSON, "not valid JSON"),
        (b"[" * 3000, JSON, "nested more than"),
        (b"{}", {}, "Send the body as JSON"),
        (b'{"messages": 3}', JSON, "messages"),
    ],
)
async def test_bodies_that_cant_be_read(
    shared: Web, path: str, content: bytes, headers: dict[str, str], words: str
) -> None:
    """Before anything is parsed."""
    answer = await shared.http.post(path, content=content, headers=headers)
    status, kind, told = error_of(answer)
    assert (status, kind) == (400, "invalid_request_error")
    assert words in told


@on_shared
@pytest.mark.parametrize("path", PATHS)
async def test_a_body_that_is_too_large(shared: Web, path: str) -> None:
    """Whether it says its length or not."""
    large = b"x" * round(shared.parts.settings.max_body_mib * 2**20 + 1)

    async def pieces() -> Any:
        yield large

    for content in (large, pieces()):
        answer = await shared.http.post(path, content=content)
        assert error_of(answer)[:2] == (413, "request_too_large")


@on_shared
async def test_paths_and_methods_that_are_not_there(shared: Web) -> None:
    """Below the path of messages; elsewhere they have OpenAI's shape."""
    answer = await shared.http.get("/v1/messages/nothing")
    assert error_of(answer)[:2] == (404, "not_found_error")
    answer = await shared.http.get("/v1/messages")
    assert error_of(answer)[:2] == (405, "invalid_request_error")
    for path in ("/v1/nothing", "/v1/messagesx"):
        assert (await shared.http.get(path)).json()["error"].keys() >= {"code"}


@on_shared
async def test_a_page_of_another_site(shared: Web) -> None:
    """Is refused at the gate."""
    headers = {"origin": "https://evil.example"}
    answer = await shared.http.post("/v1/messages", json=asking(), headers=headers)
    assert error_of(answer)[:2] == (403, "permission_error")


async def test_a_foreign_host(serve: Serve) -> None:
    """Is refused before the gate."""
    async with serve(host="127.0.0.1") as web:
        headers = {"host": "evil.example"}
        answer = await web.http.post("/v1/messages", json=asking(), headers=headers)
        assert error_of(answer)[:2] == (400, "invalid_request_error")


async def test_while_the_service_ends(web: Web) -> None:
    """Clients come again."""
    web.parts.draining.begun = True
    answer = await ask(web)
    assert error_of(answer)[:2] == (503, "overloaded_error")
    assert answer.headers["retry-after"]


@pytest.mark.parametrize("path", PATHS)
async def test_keys(serve: Serve, path: str) -> None:
    """In `x-api-key`, as Anthropic's clients send them, or as bearer tokens."""
    right, wrong = "a-callers-key", "wrong-key"
    async with serve(**KEYS) as web:
        for headers, status in [
            ({"x-api-key": right}, 200),
            ({"authorization": f"Bearer {right}"}, 200),
            ({"authorization": f"Bearer {wrong}", "x-api-key": right}, 200),
            ({"authorization": f"Bearer {right}", "x-api-key": wrong}, 200),
            ({"x-api-key": wrong}, 401),
            ({}, 401),
        ]:
            answer = await web.http.post(path, json=asking(), headers=headers)
            assert answer.status_code == status
            if status == 401:
                assert error_of(answer)[1] == "authentication_error"


async def test_wrong_keys_are_counted_whichever_header_they_come_in(serve: Serve) -> None:
    """Guessing is as hard as by bearer tokens."""
    async with serve(**KEYS) as web:
        for guess in range(31):
            headers = {"x-api-key": f"guess-{guess}"}
            answer = await web.http.post("/v1/messages", json=asking(), headers=headers)
        assert error_of(answer)[:2] == (429, "rate_limit_error")


async def test_the_key_is_good_for_all_routes(serve: Serve) -> None:
    """Also for those that are not Anthropic's."""
    async with serve(**KEYS) as web:
        answer = await web.http.get("/v1/models", headers={"x-api-key": "a-callers-key"})
        assert answer.status_code == 200
        answer = await web.http.delete("/v1/experts/sql", headers={"x-api-key": "a-callers-key"})
        assert answer.status_code == 403


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
def test_shapes_go_by_the_path(path: str) -> None:
    """Also where a server writes an error by itself, before there is an application."""
    body = {"error": {"message": "late", "type": "x", "param": None, "code": "http_error"}}
    assert shaped(path, body, 408)["error"]["type"] == "invalid_request_error"
    assert shaped("/v1/chat/completions", body, 408) is body
