"""Live residency: real processes of a stub engine, under a budget with room for one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from collegium.errors import ExpertUnavailable, SetupError
from collegium.experts.clients.reply import Call, Waits
from collegium.experts.fleet import Fleet
from collegium.experts.pool import Pool
from collegium.experts.residency.live import Residents
from collegium.experts.residency.lru import Lru
from collegium.experts.residency.view import EngineCost
from collegium.experts.supervisor import Supervisor
from collegium.experts.vllm import EngineSpec
from collegium.registry.engine import Engine
from collegium.registry.expert import Expert
from tests.experts.engines import SOON_S, StubEngine, alive, spec_of

COST = EngineCost(4.0, load_s=1.0, unload_s=0.1, at_once=2)


@pytest.fixture
def stubs(tmp_path: Path) -> dict[str, StubEngine]:
    for name in "ab":
        (tmp_path / name).mkdir()
    return {name: StubEngine(tmp_path / name, spec=spec_of(name, tmp_path / name)) for name in "ab"}


def registered(stubs: dict[str, StubEngine], longest_load_s: float) -> Residents:
    found = Residents(4.0, Lru(), longest_load_s=longest_load_s)
    for stub in stubs.values():
        found.register(stub.supervisor, COST)
    return found


@pytest.fixture
async def residents(stubs: dict[str, StubEngine]) -> AsyncIterator[Residents]:
    found = registered(stubs, longest_load_s=SOON_S)
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
    residents = registered(stubs, longest_load_s=3.0)
    with pytest.raises(ExpertUnavailable, match="could not be loaded") as info:
        async with residents.hold("a"):
            pass
    assert "these are no weights" in info.value.detail
    with pytest.raises(ExpertUnavailable, match="a moment ago"):
        async with residents.hold("a"):
            pass
    assert stubs["a"].supervisor.incarnation == 1
    async with residents.hold("b"):
        assert residents.resident == ("b",)
    await residents.aclose()


async def test_an_engine_that_is_not_ready_in_time_is_said_to_be_loading(
    stubs: dict[str, StubEngine],
) -> None:
    """Which is what it does then, whatever it did before."""
    stubs["a"].let("never")
    residents = registered(stubs, longest_load_s=1.0)
    with pytest.raises(ExpertUnavailable, match="it could not be loaded"):
        async with residents.hold("a"):
            pass
    await residents.aclose()


async def test_an_engine_that_can_never_fit_is_refused(stubs: dict[str, StubEngine]) -> None:
    """When it is taken in, not when somebody waits for it."""
    residents = Residents(3.0, Lru())
    with pytest.raises(SetupError, match=r"leaves 3\.0 GiB"):
        residents.register(stubs["a"].supervisor, COST)


async def test_a_removed_engine_is_forgotten(residents: Residents) -> None:
    """Who waits for it is told, and its room is free."""
    async with residents.hold("a"):
        waiting = asyncio.create_task(residents.hold("b").__aenter__())
        await asyncio.sleep(0.05)
        residents.dismiss("b")
        with pytest.raises(ExpertUnavailable, match="removed"):
            await waiting
    assert "b" not in residents


async def test_a_pool_asks_experts_in_turn(residents: Residents) -> None:
    """Each request finds its engine loaded, whichever was before; none is unavailable meanwhile."""
    pool = Pool(residents.engines, timeout_s=30.0, residents=residents)
    experts = [Expert(name, "engine", name, engine=name) for name in "abab"]
    body = {"messages": [{"role": "user", "content": "Who are you?"}]}
    said = []
    for expert in experts:
        assert pool.unavailable(expert) is None
        async with pool.ask(Call(expert, body)) as reply:
            said.append((await reply.whole()).text)
        assert residents.resident == (expert.name,)
    assert len(set(said)) == 4  # a process of its own each time
    await pool.aclose()


async def test_who_waits_when_the_service_ends_is_told(residents: Residents) -> None:
    """No request hangs on an engine that will not come."""
    async with residents.hold("a"):
        waiting = asyncio.create_task(residents.hold("b").__aenter__())
        await asyncio.sleep(0.05)
        await residents.aclose()
        with pytest.raises(ExpertUnavailable, match="the service ends"):
            await waiting


async def test_a_fleet_starts_its_engines_in_their_turn(tmp_path: Path) -> None:
    """Not when they are registered; a broken one is failed, a removed one leaves its room."""
    model = tmp_path / "model"
    model.mkdir()
    (model / "model.safetensors").write_bytes(b"weights")

    def supervise(spec: EngineSpec) -> Supervisor:
        (tmp_path / spec.name).mkdir()
        return StubEngine(tmp_path / spec.name, spec=spec).supervisor

    fleet = Fleet(supervise, Path("python"), residents=Residents(4.0, Lru()))
    engines = [Engine(name=name, model_path=str(model)) for name in ("a", "b")]
    large = Engine(name="large", model_path=str(model), cache_gib=9.0)
    await fleet.follow([*engines, large])
    assert [engine.status.state for engine in fleet.values()] == ["stopped", "stopped"]
    assert (await fleet.settled("a")).state == "ready"
    (tmp_path / "b" / "crash").touch()
    broken = await fleet.settled("b")
    assert (broken.state, "no weights" in broken.detail) == ("failed", True)
    assert [engine.status.state for engine in fleet.values()] == ["stopped", "stopped"]
    await fleet.follow(engines[:1])
    assert list(fleet) == ["a"]
    assert (await fleet.settled("a")).state == "ready"
    await fleet.stop()
    assert fleet["a"].status.state == "stopped"


async def test_a_pool_forecasts_and_tells_the_wait_for_a_turn(residents: Residents) -> None:
    """No wait for who is loaded; the load, as last measured, for who is not."""
    pool = Pool(residents.engines, timeout_s=30.0, residents=residents)
    a, b = (Expert(name, "engine", name, engine=name) for name in "ab")
    remote = Expert("remote", "openai", "m", base_url="http://127.0.0.1:9/v1")
    assert pool.waits is not None
    assert pool.waits(a, None) == COST.load_s
    body = {"messages": [{"role": "user", "content": "Who are you?"}]}
    first, second = Waits(), Waits()
    for waits in (first, second):
        async with pool.ask(Call(a, body), waits=waits) as reply:
            assert reply.waits is waits
    assert first.loaded_s >= residents.load_s["a"] > second.loaded_s
    assert pool.waits(a, None) == pool.waits(remote, None) == 0.0
    assert pool.waits(b, None) == pytest.approx(COST.unload_s + COST.load_s)
    assert Pool(residents.engines, timeout_s=30.0).waits is None
    await pool.aclose()


async def test_an_engine_that_rests_is_not_said_to_come(stubs: dict[str, StubEngine]) -> None:
    """The router passes over an expert that `hold` would refuse."""
    stubs["a"].let("crash")
    residents = registered(stubs, longest_load_s=3.0)
    pool = Pool(residents.engines, timeout_s=30.0, residents=residents)
    expert = Expert("a", "engine", "a", engine="a")
    assert pool.unavailable(expert) is None
    with pytest.raises(ExpertUnavailable):
        async with pool.ask(Call(expert, {"messages": []})):
            pass
    assert pool.unavailable(expert) is not None
    await pool.aclose()
    await residents.aclose()
