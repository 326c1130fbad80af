"""One process that listens: uvicorn with limits, an orderly end, and enough file descriptors."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import resource
import socket
from typing import TYPE_CHECKING

from collegium.errors import SettingsError, SetupError

if TYPE_CHECKING:
    import uvicorn
    from fastapi import FastAPI

    from collegium.settings import Settings
    from collegium.web.serving.draining import Draining

log = logging.getLogger(__name__)
OTHERS = 100
"""Descriptors of the database, the engines and files."""
A_CONNECTION = 2
"""Descriptors of a request: the client's connection and the expert's."""
LAST_WORDS_S = 5
"""For answers that are ended to say so."""


def make_server(app: FastAPI, settings: Settings) -> uvicorn.Server:
    """The server, which does not listen yet."""
    import uvicorn

    from collegium.web.limited_protocol import ConnectionLimits, limited

    limits = ConnectionLimits(
        header_s=settings.header_timeout_s,
        body_s=settings.body_timeout_s,
        write_s=settings.write_timeout_s,
        connections=connections(settings.max_connections),
    )
    config = uvicorn.Config(
        app,
        http=limited(limits),
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=math.ceil(settings.header_timeout_s),
        timeout_graceful_shutdown=math.ceil(settings.drain_timeout_s) + LAST_WORDS_S,
    )
    return uvicorn.Server(config)


async def serve(
    server: uvicorn.Server, listener: socket.socket, draining: Draining, drain_s: float
) -> None:
    """Serve until a signal comes and the answers under way have ended."""
    from collegium.web.limited_protocol import sweep

    beside = [
        asyncio.create_task(sweep(server), name="sweep connections"),
        asyncio.create_task(_drained(server, draining, drain_s), name="drain"),
    ]
    try:
        await server.serve(sockets=[listener])
    finally:
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)


def listen(host: str, port: int) -> socket.socket:
    """Take the port before anything is started."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as exc:
        listener.close()
        hint = "is another service running? Choose another with --port"
        raise SetupError(f"can't listen on {host}:{port} ({exc.strerror}); {hint}") from exc
    return listener


def refuse_if_open(settings: Settings) -> None:
    """SettingsError where others could reach a service that wants no key."""
    from collegium.web.loopback_hosts import LOOPBACK

    if settings.host not in LOOPBACK and settings.api_key is None:
        raise SettingsError(
            f"host={settings.host} without an api_key would let anyone who reaches it use and "
            "change the experts: set COLLEGIUM_API_KEY, or listen on 127.0.0.1"
        )


def connections(wanted: int) -> int:
    """As many connections as the limit of open files leaves room for, raised where it may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = OTHERS + A_CONNECTION * wanted
    if soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    room = max((soft - OTHERS) // A_CONNECTION, 10)
    if room < wanted:
        log.warning("max_connections=%d is %d: the limit of open files is %d", wanted, room, soft)
    return min(wanted, room)


async def _drained(server: uvicorn.Server, draining: Draining, drain_s: float) -> None:
    while not server.should_exit:
        await asyncio.sleep(0.1)
    await draining.drain(drain_s)
