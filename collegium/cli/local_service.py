"""A service for one command: the running one, or a temporary one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import click
import httpx

from collegium.cli.service_client import running_service
from collegium.errors import SetupError
from collegium.experts.questions.endpoint import Endpoint
from collegium.experts.vllm import free_port
from collegium.settings import Settings

READY_TIMEOUT_S = 600.0


@asynccontextmanager
async def some_service() -> AsyncGenerator[str]:
    """Yield the address of a service on the settings' registry that is ready."""
    async with running_service() as service:
        if service is not None:
            url = str(service.http.base_url)
            await wait_ready(url)
            yield url
            return
    async with started_service() as url:
        yield url


@asynccontextmanager
async def started_service() -> AsyncGenerator[str]:
    """Start `collegium serve` with these settings on a free port; end it and its engine after."""
    port = free_port("127.0.0.1")
    command = [sys.executable, "-m", "collegium", "serve", "--host", "127.0.0.1"]
    child = [sys.executable, "-m", "collegium.experts.child", *command, "--port", str(port)]
    environment = os.environ | {"PYTHONSAFEPATH": "1"}
    click.echo("No service runs here: starting one for this command.", err=True)
    process = await asyncio.create_subprocess_exec(
        *child, env=environment, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        url = f"http://127.0.0.1:{port}"
        await wait_ready(url, process)
        yield url
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


def endpoint(settings: Settings, url: str) -> Endpoint:
    """The API of a service as evaluations use it."""
    key = settings.api_key.get_secret_value() if settings.api_key else None
    return Endpoint(f"{url.rstrip('/')}/v1", api_key=key)


async def wait_ready(url: str, process: asyncio.subprocess.Process | None = None) -> None:
    """Return when the service can answer; SetupError when it ends or never does."""
    deadline = time.monotonic() + READY_TIMEOUT_S
    async with httpx.AsyncClient(base_url=url, timeout=10.0) as http:
        while time.monotonic() < deadline:
            if process is not None and process.returncode is not None:
                raise SetupError(f"the service ended with status {process.returncode}")
            with contextlib.suppress(httpx.HTTPError):
                answer = await http.get("/readyz")
                if answer.status_code == 200:
                    return
                if answer.json().get("status") == "failed":
                    raise SetupError(f"the service can't start: {answer.json()['detail']}")
            await asyncio.sleep(0.5)
    raise SetupError(f"the service at {url} was not ready within {READY_TIMEOUT_S:.0f} s")
