"""Requests to a service with a response cache."""

from __future__ import annotations

from typing import Any

import httpx

from tests.web.access import bearer
from tests.web.conftest import Web
from tests.web.test_owners import SHOP

CACHE = "x-collegium-cache"


async def ask(
    web: Web, text: str = "sql 1", *, key: str = SHOP, control: str | None = None, **fields: Any
) -> httpx.Response:
    """One of sql's answers, when everything that follows from it is written."""
    messages = [{"role": "user", "content": text}]
    body = {"model": "sql", "messages": messages, "temperature": 0, **fields}
    sent = {k: v for k, v in body.items() if v is not None}
    headers = bearer(key) | ({} if control is None else {"cache-control": control})
    answer = await web.http.post("/v1/chat/completions", json=sent, headers=headers)
    assert answer.status_code == 200, answer.text
    await web.parts.background.finish()
    return answer


async def lookup(web: Web, *args: Any, **fields: Any) -> str:
    """What the cache had."""
    return (await ask(web, *args, **fields)).headers[CACHE]


def calls(web: Web) -> int:
    """How often sql was asked."""
    return len(web.experts["sql"].asked)
