"""Run one listening process: uvicorn with limits and graceful shutdown."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import math
import os
import resource
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from collegium.errors import SettingsError, SetupError
from collegium.extensions import extensions

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp

    from collegium.settings import Settings
    from collegium.web.serving.draining import Draining

log = logging.getLogger(__name__)
OTHERS = 100
"""Descriptors of the database, the engines and files."""
A_CONNECTION = 2
"""Descriptors of a request: the client's connection and the expert's."""
LAST_WORDS_S = 5
"""Seconds for interrupted answers to report their end."""
M_MMAP_THRESHOLD = -3
LARGE = 2**20
"""Bytes of a block that glibc gives back to the system as soon as it is freed."""


def give_back_large_blocks() -> None:
    """Keep large bodies out of glibc's heap, so that their memory is returned to the system.

    By default glibc raises its threshold to the largest block that was freed, up to 32 MiB. After
    15 s of bodies of up to 20 MiB a service kept 559 MB, 391 with a threshold that stays. Does
    nothing where there is another C library, or where `MALLOC_MMAP_THRESHOLD_` says otherwise.
    """
    if "MALLOC_MMAP_THRESHOLD_" not in os.environ:
        with contextlib.suppress(AttributeError, OSError):
            ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LARGE)


def make_server(app: ASGIApp, settings: Settings) -> uvicorn.Server:
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
        log_config=None,  # `log_to_stderr` writes its lines as it does ours
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=math.ceil(settings.header_timeout_s),
        timeout_graceful_shutdown=math.ceil(settings.drain_timeout_s) + LAST_WORDS_S,
    )
    return uvicorn.Server(config)


async def serve(
    server: uvicorn.Server,
    listeners: list[socket.socket],
    draining: Draining,
    drain_s: float,
    *,
    at_signal: Callable[[], None] = lambda: None,
) -> None:
    """Serve until a signal arrives and the answers in progress have ended."""
    from collegium.web.limited_protocol import sweep

    beside = [
        asyncio.create_task(sweep(server), name="sweep connections"),
        asyncio.create_task(_drained(server, draining, drain_s, at_signal), name="drain"),
    ]
    try:
        await server.serve(sockets=listeners)
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


def log_to_stderr(form: Literal["text", "json"]) -> None:
    """Write warnings and errors, those of libraries too, with the request that caused each."""
    handler = logging.StreamHandler()
    handler.setLevel(logging.WARNING)
    handler.setFormatter(_formatter(form))
    logging.getLogger().addHandler(handler)
    logging.captureWarnings(form == "json")


def _formatter(form: Literal["text", "json"]) -> logging.Formatter:
    if form == "text":
        from collegium.web.request_id import WithRequest

        return WithRequest("%(asctime)s %(message)s")
    from collegium.web.json_log import JsonLines

    return JsonLines()


def warn_of_extensions() -> None:
    """Log broken extensions of other distributions; raise SetupError if our own are missing."""
    for name, why in extensions().faults.items():
        log.warning("the extension %s is not used: %s", name, why)


def refuse_if_open(settings: Settings) -> None:
    """Raise SettingsError if others could reach a service that requires no key."""
    from collegium.web.gate import LOOPBACK

    if settings.host not in LOOPBACK and settings.api_key is None:
        raise SettingsError(
            f"host={settings.host} without an api_key would let anyone who reaches it use and "
            "change the experts: set COLLEGIUM_API_KEY, or listen on 127.0.0.1"
        )


def connections(wanted: int) -> int:
    """Return the number of connections that the limit on open files allows, once raised."""
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


async def _drained(
    server: uvicorn.Server, draining: Draining, drain_s: float, at_signal: Callable[[], None]
) -> None:
    while not server.should_exit:
        await asyncio.sleep(0.1)
    at_signal()
    await draining.drain(drain_s)
