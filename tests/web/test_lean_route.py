"""The quick way into a handler reads, refuses and documents as FastAPI's own does."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import Response
from pydantic import SecretStr

from collegium.registry.keys import KeyRegistry
from collegium.registry.storage.database import Database
from collegium.settings import load_settings
from collegium.web import errors
from collegium.web.gate import Gate
from collegium.web.lean_route import JsonResponse, LeanRoute
from collegium.web.protocols.chat_request import ChatRequest
from collegium.web.serving.callers import Callers
from collegium.web.serving.draining import Draining
from collegium.web.serving.wrong_keys import WrongKeys

HELLO = {"messages": [{"role": "user", "content": "hello"}]}
KEY = {"authorization": "Bearer a-long-secret"}
routes = APIRouter(route_class=LeanRoute)


@routes.post("/v1/route")
async def ask(request: Request, body: ChatRequest) -> Response:
    """Say who asks, and what an expert would get."""
    return JsonResponse({"caller": request.state.caller.name, "upstream": body.upstream()})


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application with this route and a key."""
    app = FastAPI()
    errors.install(app)
    app.include_router(routes)
    key = SecretStr(KEY["authorization"].split()[1])
    settings = load_settings(api_key=key, embedded=False)
    app.state.parts = SimpleNamespace(
        settings=settings,
        callers=Callers(settings, KeyRegistry(Database("sqlite+aiosqlite://"))),
        wrong_keys=WrongKeys(),
        draining=Draining(),
    )
    app.add_middleware(Gate)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


async def refused(http: httpx.AsyncClient, status: int, **request: Any) -> str:
    """The message of a refusal in OpenAI's shape."""
    answer = await http.post("/v1/route", **{"headers": KEY, **request})
    assert answer.status_code == status
    error = answer.json()["error"]
    return f"{error['param']} {error['message']}"


async def test_a_good_request_is_read(http: httpx.AsyncClient) -> None:
    """Our own fields are taken out, unknown ones passed on as they are."""
    extra = {"routing": {"tradeoff": 3}, "my_field": {"a": [1, 2.5, None]}, "temperature": 1}
    answer = await http.post("/v1/route", json={**HELLO, **extra}, headers=KEY)
    assert answer.json() == {
        "caller": "api_key",
        "upstream": {**HELLO, "my_field": {"a": [1, 2.5, None]}, "temperature": 1},
    }


async def test_half_a_surrogate_pair_is_read_and_answered(http: httpx.AsyncClient) -> None:
    """As Python's own JSON writes a cut emoji: experts get the replacement character, once."""
    body = {"messages": [{"role": "user", "content": "half \ud83d, whole \U0001f600 \ude00\ud83d"}]}
    headers = {**KEY, "content-type": "application/json; charset=utf-8"}
    answer = await http.post("/v1/route", content=json.dumps(body), headers=headers)
    told = answer.json()["upstream"]["messages"][0]["content"]
    assert told == "half \ufffd, whole \U0001f600 \ufffd\ufffd"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({**HELLO, "temperature": "hot"}, "temperature"),
        ({**HELLO, "routing": {"min_quality": 2}}, "routing.min_quality"),
        ({**HELLO, "routing": {"failover": "yes"}}, "routing.failover must be true or false"),
        ({**HELLO, "routing": {"hedge": 1}}, "routing.hedge must be true or false"),
        ({**HELLO, "routing": {"cache": 0}}, "routing.cache must be true or false"),
        ({**HELLO, "routing": {"require": {"local": "on"}}}, "routing.require.local must be true"),
        ({**HELLO, "stream_options": {"include_usage": "t"}}, "stream_options.include_usage must"),
        ({"messages": []}, "messages"),
        ([1], "body"),
    ],
)
async def test_what_is_wrong_is_named(http: httpx.AsyncClient, body: Any, words: str) -> None:
    """With the place in the body."""
    assert words in await refused(http, 400, json=body)


@pytest.mark.parametrize("data", [b'{"model": ', b"", b'{"messages": "\xff"}', b"NaN,"])
async def test_broken_json_is_said_to_be_broken(http: httpx.AsyncClient, data: bytes) -> None:
    """Whatever is broken in it."""
    headers = {**KEY, "content-type": "application/json"}
    assert "not valid JSON" in await refused(http, 400, content=data, headers=headers)


async def test_only_json_is_read(http: httpx.AsyncClient) -> None:
    """Text is what another site's page can send without asking."""
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/jsonp"):
        headers = {**KEY, "content-type": kind}
        words = await refused(http, 400, content=json.dumps(HELLO), headers=headers)
        assert "Content-Type: application/json" in words


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer wrong"}, {"authorization": ""}])
async def test_the_key_is_asked_for(http: httpx.AsyncClient, headers: dict[str, str]) -> None:
    """Before the body is read."""
    assert "Authorization: Bearer" in await refused(http, 401, json={}, headers=headers)


async def test_it_is_documented(http: httpx.AsyncClient) -> None:
    """With its body, as every other route."""
    page = (await http.get("/openapi.json")).json()
    content = page["paths"]["/v1/route"]["post"]["requestBody"]["content"]
    assert content["application/json"]["schema"]["$ref"].endswith("/ChatRequest")
