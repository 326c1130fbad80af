"""Leases: one of several replicas works at a time."""

from __future__ import annotations

import asyncio

import pytest

from collegium.registry.leases import Leases
from tests.registry.conftest import OpenDatabase

LONG_S = 60.0


@pytest.fixture
async def replicas(open_database: OpenDatabase) -> tuple[Leases, Leases]:
    """The same leases as two replicas see them."""
    first = open_database()
    await first.migrate()
    return Leases(first), Leases(open_database())


async def test_one_replica_holds_a_lease(replicas: tuple[Leases, Leases]) -> None:
    """It may extend the lease; the other one has to wait."""
    one, two = replicas
    assert await one.hold("watch", "one", LONG_S)
    assert not await two.hold("watch", "two", LONG_S)
    assert await one.hold("watch", "one", LONG_S)


async def test_leases_are_independent(replicas: tuple[Leases, Leases]) -> None:
    """Each name has its own holder."""
    one, two = replicas
    assert await one.hold("watch", "one", LONG_S)
    assert await two.hold("learn", "two", LONG_S)


async def test_of_replicas_that_ask_at_once_one_gets_it(replicas: tuple[Leases, Leases]) -> None:
    """Also for a name that was never held."""
    held = await asyncio.gather(*(r.hold("new", str(i), LONG_S) for i, r in enumerate(replicas)))
    assert sorted(held) == [False, True]


async def test_an_expired_lease_is_free(replicas: tuple[Leases, Leases]) -> None:
    """A holder that died needs no release; one that comes back notices."""
    one, two = replicas
    assert await one.hold("watch", "one", -1.0)
    assert await two.hold("watch", "two", LONG_S)
    assert not await one.hold("watch", "one", LONG_S)


async def test_a_released_lease_is_free_at_once(replicas: tuple[Leases, Leases]) -> None:
    """Only its holder can release it."""
    one, two = replicas
    assert await one.hold("watch", "one", LONG_S)
    await two.release("watch", "two")
    assert not await two.hold("watch", "two", LONG_S)
    await one.release("watch", "one")
    await asyncio.sleep(0.001)  # a lease that ends now is free after now
    assert await two.hold("watch", "two", LONG_S)
