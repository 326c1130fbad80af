"""/openapi.json: building it holds up nobody."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import httpx
from fastapi import FastAPI

from collegium.web.description import describe


async def test_the_description_is_built_once_and_in_a_thread() -> None:
    """It took 1.6 s on the event loop, for anybody who asked first."""
    app = FastAPI(openapi_url=None)
    builders: list[threading.Thread] = []

    def built() -> dict[str, Any]:
        builders.append(threading.current_thread())
        time.sleep(0.05)
        app.openapi_schema = {"paths": {}}
        return app.openapi_schema

    app.openapi = built  # type: ignore[method-assign]
    describe(app)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://localhost"
    ) as http:
        answers = await asyncio.gather(*(http.get("/openapi.json") for _ in range(3)))
        head = await http.head("/openapi.json")
    assert [answer.status_code for answer in answers] == [200] * 3
    assert answers[0].headers["content-type"] == "application/json"
    assert "Error" in answers[0].json()["components"]["schemas"]
    assert (head.status_code, head.headers["content-length"]) == (200, str(len(answers[0].content)))
    assert len(builders) == 1
    assert builders[0] is not threading.main_thread()
