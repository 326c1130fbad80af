"""The first thing that every request meets: paths, names of requests, pages of other sites."""

from __future__ import annotations

import logging
import sys
from typing import Any

import pytest

from collegium.errors import SettingsError
from collegium.settings import load_settings
from collegium.web.request_id import PRESENT, WithRequest
from tests.web.access import ADMIN, CALLER, HELLO, KEYS, bearer, code
from tests.web.conftest import Serve, Web, on_shared

CHAT = "/v1/chat/completions"


# --- paths ---


@on_shared
@pytest.mark.parametrize(
    "path",
    [
        "//v1/chat/completions",
        "/v1//chat//completions",
        "/v1/chat/completions/",
        "/v1/v1/chat/completions",
        "/chat/completions",
        "//chat/completions//",
    ],
)
async def test_a_base_url_may_end_as_it_likes(shared: Web, path: str) -> None:
    """With or without slashes and `/v1`; clients lose the body with a redirect."""
    answer = await shared.http.post(f"http://localhost{path}", json=HELLO)
    assert (answer.status_code, answer.request.url.raw_path) == (200, path.encode())
    assert answer.json()["model"] == "sql"


@on_shared
@pytest.mark.parametrize("path", ["/v1/models/", "/models", "//", "/healthz/", "//docs"])
async def test_other_paths_are_put_right_too(shared: Web, path: str) -> None:
    """Those of people and of what watches the service."""
    assert (await shared.http.get(f"http://localhost{path}")).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        *("//v1/models", "/v1//models", "/v1/v1/models", "/models", "/models/", "///models"),
        *("/v1/", "/v1", "/%76%31/models", "//v1/%6dodels", "/v1/nothing", "/V1/../v1/models"),
    ],
)
async def test_no_spelling_of_a_path_goes_around_the_key(serve: Serve, path: str) -> None:
    """What is not refused for its key is not there."""
    async with serve(**KEYS) as web:
        answer = await web.http.get(f"http://localhost{path}")
        assert answer.status_code in (401, 404)
        assert "data" not in answer.json()
        change = await web.http.delete(f"http://localhost{path.replace('models', 'experts/sql')}")
        assert change.status_code in (401, 404)
        assert len((await web.http.get("/v1/experts", headers=bearer(ADMIN))).json()["data"]) == 3


async def test_an_administrative_change_is_recorded_however_its_path_is_spelt(serve: Serve) -> None:
    """Under the usual path."""
    async with serve(**KEYS) as web:
        url = "http://localhost//experts/sql/"
        await web.http.patch(url, json={"description": "new"}, headers=bearer(ADMIN))
        record = (web.parts.settings.data_dir / "logs" / "audit.jsonl").read_text()
    assert '"path": "/v1/experts/sql"' in record


@on_shared
async def test_escaped_slashes_belong_to_a_name(shared: Web) -> None:
    """An application may be called so."""
    for name in ("a/b", "a//b", "a/b/"):
        await shared.chat("sql 1", metadata={"application": name})
        path = f"/v1/applications/{name.replace('/', '%2F')}"
        assert (await shared.http.get(path)).json()["key"] == name


@on_shared
async def test_a_path_that_is_not_there_is_named_with_those_that_are(shared: Web) -> None:
    """And the one that was meant."""
    error = (await shared.http.post("/v1/chat/completion", json=HELLO)).json()["error"]
    assert "'/v1/chat/completion'" in error["message"]
    assert "Did you mean /v1/chat/completions?" in error["message"]
    assert "/v1/models" in error["message"]
    long = await shared.http.get(f"/v1/{'x' * 5000}")
    assert long.status_code == 404
    assert len(long.text) < 3000


@on_shared
async def test_a_method_that_is_not_possible_is_told_those_that_are(shared: Web) -> None:
    """All of them, also where each is a route of its own."""
    answer = await shared.http.put("/v1/experts", json={})
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, POST"
    message = answer.json()["error"]["message"]
    assert message == "PUT is not possible at '/v1/experts', but GET, POST"


# --- names of requests ---


@on_shared
@pytest.mark.parametrize("path", ["/v1/models", "/v1/nothing", "/", "/static/mark.svg", "/healthz"])
async def test_every_answer_has_a_name(shared: Web, path: str) -> None:
    """A new one for each."""
    names = {(await shared.http.get(path)).headers["x-request-id"] for _ in range(3)}
    assert len(names) == 3
    assert all(name.startswith("req_") for name in names)


async def test_refusals_and_failures_have_one_too(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a key, a body, a host, and of what nobody foresaw."""

    async def broken(*_: Any) -> None:
        raise ZeroDivisionError

    name = {"x-request-id": "mine"}
    async with serve(**KEYS, max_body_mib=0.001) as web:
        large = await web.http.post(CHAT, content=b"x" * 2000, headers={**bearer(CALLER), **name})
        answers = [await web.http.get("/v1/models", headers=name), large]
    async with serve() as web:
        answers.append(await web.http.get("/v1/models", headers={"host": "evil.example", **name}))
        monkeypatch.setattr(web.parts.registry, "revision", broken)
        answers.append(await web.http.get("/v1/models", headers=name))
    assert [answer.status_code for answer in answers] == [401, 413, 400, 500]
    assert [answer.headers["x-request-id"] for answer in answers] == ["mine"] * 4
    assert {answer.headers["x-content-type-options"] for answer in answers} == {"nosniff"}


@on_shared
@pytest.mark.parametrize(
    ("given", "kept"),
    [("a" * 128, True), ("3f-ü", False), ("a" * 129, False), ("a\tb", False), ("a b", False)],
)
async def test_a_callers_own_name_is_kept_where_it_is_one(
    shared: Web, given: str, kept: bool
) -> None:
    """At most 128 printable characters of ASCII."""
    headers = {b"x-request-id": given.encode("latin-1")}
    answer = await shared.http.get("/healthz", headers=headers)
    assert (answer.headers["x-request-id"] == given) == kept


def test_the_log_tells_the_request() -> None:
    """Where there is one."""
    record = logging.LogRecord("collegium", logging.WARNING, "", 0, "%s is down", ("sql",), None)
    assert WithRequest().format(record) == "sql is down"
    token = PRESENT.set("req_1")
    try:
        assert WithRequest().format(record) == "sql is down [req_1]"
    finally:
        PRESENT.reset(token)


def test_a_message_is_one_line_whatever_is_written_into_it() -> None:
    """Nobody writes lines of their own, nor steers a terminal; a traceback is indented."""
    told = ("down\r\nWARNING all keys are stolen\x1b[2J\u2028",)
    record = logging.LogRecord("collegium", logging.WARNING, "", 0, "sql is %s", told, None)
    line = WithRequest().format(record)
    assert line == "sql is down\\r\\nWARNING all keys are stolen\\x1b[2J\\u2028"
    try:
        raise ValueError("a\nWARNING forged")
    except ValueError:
        record.exc_info = sys.exc_info()
    first, *rest = WithRequest().format(record).split("\n")
    assert first == line
    assert rest
    assert all(each.startswith("  ") for each in rest)


# --- pages of other sites ---

PAGE = "https://chat.example"
PREFLIGHT = {
    "origin": PAGE,
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization,content-type,x-session-id",
}


async def test_browsers_are_told_nothing_by_default(web: Web) -> None:
    """No page of another site may read an answer."""
    answer = await web.http.options(CHAT, headers=PREFLIGHT)
    assert answer.status_code == 405
    answers = [answer, await web.http.get("/v1/models", headers={"origin": PAGE})]
    told = [name for answer in answers for name in answer.headers if name.startswith("access-")]
    assert told == []


@pytest.mark.parametrize(("origins", "told"), [([PAGE], PAGE), (["*"], "*")])
async def test_a_page_that_the_settings_name_may_ask(
    serve: Serve, origins: list[str], told: str
) -> None:
    """The preflight needs no key, what follows does; both say that the page may read it."""
    async with serve(**KEYS, cors_origins=origins) as web:
        before = await web.http.options(CHAT, headers=PREFLIGHT)
        page = {"origin": PAGE}
        refused = await web.http.post(CHAT, json=HELLO, headers=page)
        answer = await web.http.post(CHAT, json=HELLO, headers={**page, **bearer(CALLER)})
    assert before.status_code == 204
    assert "POST" in before.headers["access-control-allow-methods"]
    assert before.headers["access-control-allow-headers"].split(",") == [
        *("authorization", "content-type", "x-session-id")
    ]
    assert [refused.status_code, answer.status_code] == [401, 200]
    for each in (before, refused, answer):
        assert each.headers["access-control-allow-origin"] == told
        assert "access-control-allow-credentials" not in each.headers
    assert answer.headers["access-control-expose-headers"] == "*"


async def test_other_pages_are_refused_as_before(serve: Serve) -> None:
    """In the API's shape, and nothing lets them read the answer."""
    async with serve(cors_origins=[PAGE]) as web:
        headers = {**PREFLIGHT, "origin": "https://evil.example"}
        before = await web.http.options(CHAT, headers=headers)
        answer = await web.http.post(CHAT, json=HELLO, headers={"origin": headers["origin"]})
    assert [code(before), code(answer)] == [(403, "forbidden")] * 2
    assert "cors_origins" in answer.json()["error"]["message"]
    assert "access-control-allow-origin" not in {**before.headers, **answer.headers}


@pytest.mark.parametrize("origins", [[PAGE], ["*"]])
async def test_without_a_key_another_page_asks_and_changes_nothing(
    serve: Serve, origins: list[str]
) -> None:
    """A browser is as good as its user, who may change everything."""
    headers = {"origin": PAGE, "sec-fetch-site": "cross-site"}
    async with serve(cors_origins=origins) as web:
        answer = await web.http.post(CHAT, json=HELLO, headers=headers)
        change = await web.http.delete("/v1/experts/sql", headers=headers)
    assert answer.status_code == 200
    assert code(change) == (403, "forbidden")


@pytest.mark.parametrize("origin", ["chat.example", f"{PAGE}/", "https://Chat.example", "null", ""])
def test_what_is_no_origin_is_a_wrong_setting(origin: str) -> None:
    """Browsers compare letter by letter."""
    with pytest.raises(SettingsError, match="is not an origin"):
        load_settings(cors_origins=[origin])


# --- traces ---

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize("model", ["auto", "collegium/vote"])
async def test_a_trace_goes_on_to_the_experts(web: Web, model: str) -> None:
    """And nothing else of a caller's headers."""
    headers = {"traceparent": PARENT, "tracestate": "a=1,b=2", "cookie": "a=b", "x-secret": "s"}
    await web.http.post(CHAT, json={**HELLO, "model": model}, headers=headers)
    asked = [call for name in ("sql", "lists", "general") for call in web.experts[name].asked]
    assert asked
    for call in asked:
        assert call.headers == {"traceparent": PARENT, "tracestate": "a=1,b=2"}


@pytest.mark.parametrize(
    "headers",
    [
        {"traceparent": "nothing"},
        {"traceparent": PARENT.upper()},
        {"traceparent": f"ff{PARENT[2:]}"},
        {"traceparent": f"00-{'0' * 32}-00f067aa0ba902b7-01"},
        {"tracestate": "a=1"},
        {},
    ],
)
async def test_what_is_no_trace_goes_nowhere(web: Web, headers: dict[str, str]) -> None:
    """Upstreams would not read it, or take it for something else."""
    await web.http.post(CHAT, json=HELLO, headers=headers)
    assert web.experts["sql"].asked[0].headers == {}


async def test_a_state_that_is_too_long_is_left_out(web: Web) -> None:
    """The trace itself is not."""
    headers = {"traceparent": PARENT, "tracestate": f"a={'1' * 600}"}
    await web.http.post(CHAT, json=HELLO, headers=headers)
    assert web.experts["sql"].asked[0].headers == {"traceparent": PARENT}
