"""Live residency: real processes of a stub engine, under a budget with room for one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from collegium.errors import ExpertUnavailable
from collegium.experts.residency.live import Residents
from collegium.experts.residency.lru import Lru
from collegium.experts.residency.view import EngineCost
from tests.unit.experts.engines import StubEngine, alive

COST = EngineCost(4.0, load_s=1.0, unload_s=0.1, at_once=2)


@pytest.fixture
def stubs(tmp_path: Path) -> dict[str, StubEngine]:
    for name in "ab":
        (tmp_path / name).mkdir()
    return {name: StubEngine(tmp_path / name) for name in "ab"}


@pytest.fixture
async def residents(stubs: dict[str, StubEngine]) -> AsyncIterator[Residents]:
    engines = {name: stub.supervisor for name, stub in stubs.items()}
    found = Residents(engines, dict.fromkeys(engines, COST), 4.0, Lru(), longest_load_s=20.0)
    yield found
    await found.aclose()


def pid(stub: StubEngine) -> int:
    found = stub.supervisor.status.pid
    assert found is not None
    return found


async def test_engines_take_turns(residents: Residents, stubs: dict[str, StubEngine]) -> None:
    """The one before has ended when the next is held; who is loaded is held at once."""
    async with residents.hold("a") as engine:
        assert engine is stubs["a"].supervisor
        first = pid(stubs["a"])
    async with residents.hold("a"):
        assert pid(stubs["a"]) == first
    async with residents.hold("b"):
        assert not alive(first)
        assert residents.resident == ("b",)
    assert residents.load_s.keys() == {"a", "b"}


async def test_a_held_engine_is_not_taken_away(
    residents: Residents, stubs: dict[str, StubEngine]
) -> None:
    """Whoever wants the other one waits until it is let go."""
    order: list[str] = []

    async def other() -> None:
        async with residents.hold("b"):
            order.append("b")

    async with residents.hold("a"):
        waiting = asyncio.create_task(other())
        await asyncio.sleep(0.3)
        assert alive(pid(stubs["a"]))
        order.append("a")
    await waiting
    assert order == ["a", "b"]


async def test_who_leaves_the_queue_leaves_nothing_behind(residents: Residents) -> None:
    """A cancelled wait takes no turn, and the next one gets it."""
    async with residents.hold("a"):
        gone = asyncio.create_task(residents.hold("b").__aenter__())
        await asyncio.sleep(0.05)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
    async with residents.hold("a"), residents.hold("a"):
        assert residents.resident == ("a",)


async def test_an_engine_that_does_not_start_is_said_to_be_unavailable(
    stubs: dict[str, StubEngine],
) -> None:
    """With the reason; the other engine gets the room."""
    stubs["a"].let("crash")
    engines = {name: stub.supervisor for name, stub in stubs.items()}
    residents = Residents(engines, dict.fromkeys(engines, COST), 4.0, Lru(), longest_load_s=3.0)
    with pytest.raises(ExpertUnavailable, match="was not loaded in time"):
        async with residents.hold("a"):
            pass
    stubs["a"].no_longer("crash")
    async with residents.hold("b"):
        assert residents.resident == ("b",)
    await residents.aclose()
