"""What is looked at before a body is read, and what every response tells browsers."""

from __future__ import annotations

import json
import stat
from collections.abc import AsyncIterator
from typing import Any

import pytest

from collegium.errors import TooManyWrongKeys
from collegium.web.serving.wrong_keys import MOST, WITHIN_S, WrongKeys
from tests.web.access import ADMIN, CALLER, HELLO, KEYS, bearer, code
from tests.web.conftest import Serve, Web, on_shared


@pytest.fixture
async def guarded(serve: Serve) -> AsyncIterator[Web]:
    """A service with an administrator's key and a caller's."""
    async with serve(**KEYS) as web:
        yield web


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/files", "/v1/experts"])
async def test_a_body_without_a_key_is_not_read(guarded: Web, path: str) -> None:
    """It may be endless."""
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(10_000):
            read += 1
            yield b"x" * 2**16

    answer = await guarded.http.post(path, content=endless())
    assert code(answer) == (401, "invalid_api_key")
    assert answer.headers["connection"] == "close"
    assert read == 0


FOREIGN = [
    {"origin": "https://evil.example"},
    {"origin": "http://localhost:3000"},
    {"origin": "null"},
    {"origin": "http://[", "sec-fetch-site": "same-origin"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
]


@on_shared
@pytest.mark.parametrize("headers", FOREIGN)
async def test_another_sites_page_changes_nothing_without_a_key(
    shared: Web, headers: dict[str, str]
) -> None:
    """Whatever the route; what it may read is the browser's to say."""
    for method, path in [
        ("POST", "/v1/engines/embedded/restart"),
        ("POST", "/v1/chat/completions"),
        ("PATCH", "/v1/experts/sql"),
        ("DELETE", "/v1/experts/sql"),
    ]:
        body = None if method == "DELETE" else HELLO
        answer = await shared.http.request(method, path, json=body, headers=headers)
        assert code(answer) == (403, "forbidden"), path
    assert (await shared.http.get("/v1/models", headers=headers)).status_code == 200


@on_shared
@pytest.mark.parametrize(
    "headers",
    [{"origin": "http://localhost"}, {"sec-fetch-site": "same-origin"}, {"sec-fetch-site": "none"}],
)
async def test_our_own_page_and_programs_may(shared: Web, headers: dict[str, str]) -> None:
    """As before."""
    answer = await shared.http.post("/v1/route", json=HELLO, headers=headers)
    assert answer.status_code == 200


async def test_with_a_key_any_page_may_that_has_it(guarded: Web) -> None:
    """A browser does not send it by itself."""
    headers = {"origin": "https://shop.example", **bearer(CALLER)}
    answer = await guarded.http.post("/v1/chat/completions", json=HELLO, headers=headers)
    assert answer.status_code == 200


@on_shared
@pytest.mark.parametrize(
    "path", ["/", "/docs", "/healthz", "/metrics", "/v1/models", "/v1/nothing", "/static/mark.svg"]
)
async def test_every_response_tells_browsers_what_they_may(shared: Web, path: str) -> None:
    """Errors, too."""
    headers = (await shared.http.get(path)).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]


@on_shared
async def test_the_documentation_loads_nothing_from_elsewhere(shared: Web) -> None:
    """Neither scripts nor pictures."""
    page = await shared.http.get("/docs")
    assert "//" not in page.text.replace("http://", "").partition("<body>")[0]
    assert "script-src" not in page.headers["content-security-policy"]
    assert "default-src 'self'" in page.headers["content-security-policy"]


# --- wrong keys ---


async def test_guessing_keys_comes_to_an_end(
    guarded: Web, caplog: pytest.LogCaptureFixture
) -> None:
    """The log tells of it; right keys work from there, also those that never came before."""
    for guess in range(MOST):
        answer = await guarded.http.get("/v1/models", headers=bearer(f"guess-{guess}"))
        assert answer.status_code == 401
    refused = await guarded.http.get("/v1/models", headers=bearer("guess"))
    assert code(refused) == (429, "too_many_wrong_keys")
    assert int(refused.headers["retry-after"]) > 0
    assert (await guarded.http.get("/v1/models", headers=bearer(ADMIN))).status_code == 200
    assert (await guarded.http.get("/v1/models", headers=bearer(CALLER))).status_code == 200
    told = [r.getMessage() for r in caplog.records if "wrong key" in r.getMessage()]
    assert len(told) == 2
    assert "guess-" not in "".join(told)


def test_a_minute_later_keys_are_looked_at_again() -> None:
    """Another address is not concerned at all."""
    now = 0.0
    keys = WrongKeys(lambda: now)
    for _ in range(MOST):
        keys.check(None, "10.0.0.1")
    with pytest.raises(TooManyWrongKeys):
        keys.check(None, "10.0.0.1")
    keys.check("shop", "10.0.0.1")
    keys.check(None, "10.0.0.2")
    now = WITHIN_S
    keys.check(None, "10.0.0.1")


# --- the record of changes ---


async def test_administrative_changes_are_recorded(guarded: Web) -> None:
    """Done or refused, with who and what; reading is not."""
    await guarded.http.patch("/v1/experts/sql", json={"description": "new"}, headers=bearer(ADMIN))
    await guarded.http.delete("/v1/experts/sql", headers=bearer(CALLER))
    await guarded.http.get("/v1/experts", headers=bearer(ADMIN))
    file = guarded.parts.settings.data_dir / "logs" / "audit.jsonl"
    entries: list[Any] = [json.loads(line) for line in file.read_text().splitlines()]
    told = [(e["caller"], e["method"], e["path"], e["status"]) for e in entries]
    assert told == [
        ("api_key", "PATCH", "/v1/experts/sql", 200),
        ("shop", "DELETE", "/v1/experts/sql", 403),
    ]
    assert entries[0]["body"] == '{"description":"new"}'
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert ADMIN not in file.read_text()
