"""Clients of the running service, and a second server to register."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import httpx
import openai
import pytest

from tests.running_service import RunningService
from tests.servers import free_port


@pytest.fixture
def http(service: RunningService) -> Iterator[httpx.Client]:
    """A plain HTTP client."""
    with httpx.Client(base_url=service.url, timeout=120) as client:
        yield client


@pytest.fixture
def sdk(service: RunningService) -> Iterator[openai.OpenAI]:
    """OpenAI's own client."""
    with openai.OpenAI(base_url=f"{service.url}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture(scope="session")
def echo_url() -> Iterator[str]:
    """A second real server process on loopback."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "tests.service.echo_server:app"]
    process = subprocess.Popen([*command, "--port", str(port), "--log-level", "warning"])
    url = f"http://127.0.0.1:{port}/v1"
    deadline = time.monotonic() + 60
    while True:
        try:
            httpx.get(f"{url}/models")
            break
        except httpx.TransportError:
            assert time.monotonic() < deadline, "the echo server did not start"
            time.sleep(0.1)
    yield url
    process.terminate()
    process.wait()
