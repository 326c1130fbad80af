"""How every part of the service connects to Redis, and what it raises if Redis is away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from redis import asyncio as redis
from redis.exceptions import RedisError

from collegium.errors import SettingsError, StateUnavailable

CONNECTIONS = 16
"""Further requests wait for one, because a step takes a fraction of a millisecond."""


def connected(url: str, *, timeout_s: float, decode_responses: bool = False) -> redis.Redis:
    """Return a client that connects when it is used; every wait ends after `timeout_s`.

    Raises SettingsError if the URL is wrong.
    """
    try:
        pool = redis.BlockingConnectionPool.from_url(  # the usual one refuses the 101st request
            url,
            max_connections=CONNECTIONS,
            timeout=timeout_s,
            decode_responses=decode_responses,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
        )
    except ValueError:  # it may repeat the password
        raise SettingsError("redis_url is not a URL such as redis://host:6379/0") from None
    return redis.Redis.from_pool(pool)


@contextmanager
def redis_errors(problem: str) -> Iterator[None]:
    """Raise StateUnavailable, with the problem and its cause, if Redis can't be used."""
    try:
        yield
    except (RedisError, OSError) as exc:
        raise StateUnavailable(f"{problem}: {exc}") from exc
