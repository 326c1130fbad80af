"""A client that speaks ASGI by hand, as uvicorn would, so that it can hang up."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.web.conftest import Web, until

CHAT = "/v1/chat/completions"


class Caller:
    """One request whose client may hang up; what it was sent is in `status` and `text`."""

    def __init__(
        self, web: Web, path: str, body: Any, *, whole: bool = True, key: str = ""
    ) -> None:
        self.status: int | None = None
        self.text = ""
        self.left = asyncio.Event()
        self.reads = True
        """Whether the client takes what it is sent; else sending waits, as with a full socket."""
        self.waited_for = asyncio.Event()
        """Set when something was to be sent and the client did not read."""
        self._app = web.app
        self._path = path
        self._received = [json.dumps(body).encode()]
        self._whole = whole
        self._key = key

    async def run(self) -> None:
        """Serve the request to its end."""
        headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
        if self._key:
            headers.append((b"authorization", f"Bearer {self._key}".encode()))
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": self._path,
            "raw_path": self._path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": headers,
            "client": ("127.0.0.1", 1),
            "server": ("localhost", 80),
        }
        await self._app(scope, self._receive, self._send)

    async def _receive(self) -> dict[str, Any]:
        if self._received:
            body = self._received.pop()
            return {"type": "http.request", "body": body, "more_body": not self._whole}
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        if not self.reads:
            self.waited_for.set()
            await asyncio.Event().wait()
        if message["type"] == "http.response.start":
            self.status = message["status"]
        else:
            self.text += message.get("body", b"").decode()


@asynccontextmanager
async def calling(
    web: Web, body: Any, *, whole: bool = True, path: str = CHAT, key: str = ""
) -> AsyncIterator[Caller]:
    """A request under way; inside, let the caller leave or the experts go on."""
    caller = Caller(web, path, body, whole=whole, key=key)
    task = asyncio.create_task(caller.run())
    try:
        yield caller
        async with asyncio.timeout(20):
            await task
    finally:
        task.cancel()


async def until_idle(web: Web) -> None:
    """Return when no answer is in the making and everything is recorded."""
    in_flight = web.parts.speeds.in_flight
    await until(lambda: not any(in_flight.by_expert().values()))
    await web.parts.background.finish()
