"""Counting upstreams, and a service whose experts they are."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.running_service import RunningService, running_service
from tests.servers import free_port

SERVER = Path(__file__).with_name("counting_server.py")
BILLING = Path(__file__).with_name("billing_server.py")
ADMIN = "the-administrators-key"


class Upstream:
    """A counting server's process."""

    def __init__(self, port: int, server: Path = SERVER) -> None:
        self.port = port
        self.process = subprocess.Popen([sys.executable, str(server), str(port)])

    @property
    def url(self) -> str:
        """Its API."""
        return f"http://127.0.0.1:{self.port}/v1"

    def stats(self) -> dict[str, Any]:
        """What it counted."""
        counted: dict[str, Any] = httpx.get(f"http://127.0.0.1:{self.port}/stats").json()
        return counted

    def wait(self) -> Upstream:
        """Return when it answers."""
        deadline = time.monotonic() + 60
        while True:
            try:
                self.stats()
                return self
            except httpx.TransportError:
                assert time.monotonic() < deadline, "the upstream did not start"
                time.sleep(0.1)


@contextmanager
def upstream(port: int | None = None, program: Path = SERVER) -> Iterator[Upstream]:
    """A counting server, or another one, gone afterwards."""
    server = Upstream(port or free_port(), program)
    try:
        yield server.wait()
    finally:
        server.process.kill()
        server.process.wait()


def billing() -> AbstractContextManager[Upstream]:
    """A server that bills what it sends, gone afterwards."""
    return upstream(program=BILLING)


@contextmanager
def serving(folder: Path, *servers: Upstream, **settings: str) -> Iterator[RunningService]:
    """A service with an expert a server: `a`, `b`, …; the first is preferred, as its owner says."""
    with running_service(folder, COLLEGIUM_EMBEDDED="false", **settings) as service:
        for number, (name, server) in enumerate(zip("abc", servers, strict=False)):
            new = {"name": name, "kind": "openai", "base_url": server.url, "generalist": True}
            told = {"prior": 0.9 - 0.1 * number, "input_price": 0, "output_price": number}
            added = post(service, "/v1/experts", {**new, **told}, ADMIN)
            assert added.status_code == 201, added.text
            httpx.post(f"http://127.0.0.1:{server.port}/reset")
        yield service


def post(service: RunningService, path: str, body: Any, key: str = "none") -> httpx.Response:
    """Call the service."""
    headers = {"authorization": f"Bearer {key}"}
    return httpx.post(f"{service.url}{path}", json=body, headers=headers, timeout=60)


def asking(name: str, **fields: Any) -> dict[str, Any]:
    """A request that its id makes known to the upstream."""
    return {"messages": [{"role": "user", "content": name}], **fields}


def ask(service: RunningService, name: str, **fields: Any) -> httpx.Response:
    """Ask and wait."""
    return post(service, "/v1/chat/completions", asking(name, **fields))


def said(lines: list[str]) -> tuple[str, dict[str, Any] | None, bool]:
    """The text of a stream, its error event, and whether it came to its end mark."""
    events = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    parsed = [json.loads(event) for event in events if event != "[DONE]"]
    choices = [choice for event in parsed for choice in event.get("choices", [])]
    text = "".join(choice["delta"].get("content") or "" for choice in choices)
    return text, next((e["error"] for e in parsed if "error" in e), None), "[DONE]" in events


def until(true: Any, timeout_s: float = 60) -> None:
    """Wait for something that happens soon."""
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.1)
