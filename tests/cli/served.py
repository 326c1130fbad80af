"""A small service in a process of its own, for commands that ask the running one."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from collegium.registry.storage.database import Database
from collegium.settings import load_settings
from tests.servers import free_port


@contextmanager
def served_on(folder: Path, fill: Callable[[Database], Awaitable[None]]) -> Iterator[None]:
    """Serve a registry that was filled before; the environment names it."""
    port = free_port()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("COLLEGIUM_DATA_DIR", str(folder / "data"))
        environment.setenv("COLLEGIUM_CACHE_DIR", str(folder / "cache"))
        environment.setenv("COLLEGIUM_ENCODER", "static")
        environment.setenv("COLLEGIUM_EMBEDDED", "false")
        environment.setenv("COLLEGIUM_PORT", str(port))
        asyncio.run(_filled(fill))
        start = "from collegium.web.app import create_app; import uvicorn; "
        start += f"uvicorn.run(create_app(), port={port}, log_level='warning')"
        process = subprocess.Popen([sys.executable, "-c", start])
        try:
            _wait_for(f"http://127.0.0.1:{port}/healthz")
            yield
        finally:
            process.terminate()
            process.wait()


async def _filled(fill: Callable[[Database], Awaitable[None]]) -> None:
    database = Database(load_settings().registry_url)
    await database.migrate()
    await fill(database)
    await database.close()


def _wait_for(url: str) -> None:
    for _ in range(200):
        with suppress(httpx.HTTPError):
            httpx.get(url)
            return
        time.sleep(0.1)
    raise TimeoutError(url)
