"""Sleep and wake: a real process with the calls of vLLM's server, which gives back no memory."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from collegium.errors import ExpertUnavailable, SetupError
from collegium.experts import sleeping
from collegium.experts.clients.reply import Call
from collegium.experts.placement.plan import Placement
from collegium.experts.pool import Pool
from collegium.experts.residency.live import Residents
from collegium.experts.residency.lru import Lru
from collegium.experts.residency.scheduler import Request, Scheduler
from collegium.experts.residency.view import EngineCost
from collegium.experts.vllm import EngineSpec
from collegium.registry.expert import Expert
from tests.experts.engines import StubEngine, alive, spec_of, stub_engine, until
from tests.fake_nvml import FakeCard, FakeNvml, install

SLEEPER = EngineCost(4.0, load_s=40.0, unload_s=1.0, wake_s=3.0, asleep_gib=1.0)


def spec(folder: Path, name: str = "stub", level: int = 1) -> EngineSpec:
    return spec_of(name, folder, sleep_level=level)


def calls(folder: Path) -> list[object]:
    """What the engine was asked, but for chats: path, and body where there is one."""
    lines = map(json.loads, (folder / "requests").read_text().splitlines())
    return [path if body is None else [path, body] for path, body in lines if "chat" not in path]


@pytest.mark.parametrize(
    ("level", "asked"),
    [
        (1, ["/sleep?level=1", "/wake_up"]),
        (
            2,
            [
                "/sleep?level=2",
                "/wake_up?tags=weights",
                ["/collective_rpc", {"method": "reload_weights"}],
                "/wake_up?tags=kv_cache",
            ],
        ),
    ],
)
async def test_an_engine_sleeps_and_wakes_as_its_level_says(
    tmp_path: Path, level: int, asked: list[object]
) -> None:
    """In one process; at level 2 what was loaded into it is gone, so it counts as a start."""
    async with stub_engine(tmp_path, spec=spec(tmp_path, level=level)) as engine:
        await engine.ready()
        pid = engine.supervisor.status.pid
        await engine.supervisor.rest()
        assert (engine.supervisor.status.state, engine.supervisor.status.pid) == ("asleep", pid)
        with pytest.raises(ExpertUnavailable, match="is asleep"):
            engine.supervisor.require_ready("stub")
        await engine.supervisor.start()
        assert (engine.supervisor.status.state, engine.supervisor.status.pid) == ("ready", pid)
        assert engine.supervisor.incarnation == level
        assert calls(tmp_path) == asked


async def test_an_engine_that_is_not_described_so_is_stopped(tmp_path: Path) -> None:
    """Everywhere but on a GPU."""
    async with stub_engine(tmp_path) as engine:
        pid = (await engine.ready()).pid or 0
        await engine.supervisor.rest()
        assert engine.supervisor.status.state == "stopped"
        assert not alive(pid)


async def test_an_engine_that_does_not_sleep_is_stopped(tmp_path: Path) -> None:
    """Its memory is wanted, whatever it says."""
    async with stub_engine(tmp_path, "restless", spec=spec(tmp_path)) as engine:
        pid = (await engine.ready()).pid or 0
        await engine.supervisor.rest()
        assert engine.supervisor.status.state == "stopped"
        assert not alive(pid)


async def test_an_engine_that_does_not_wake_is_started_anew(tmp_path: Path) -> None:
    """Whoever waits for it gets it, later."""
    async with stub_engine(tmp_path, spec=spec(tmp_path)) as engine:
        pid = (await engine.ready()).pid or 0
        await engine.supervisor.rest()
        engine.let("restless")
        await engine.supervisor.start()
        await engine.ready(times=2)
        assert not alive(pid)
        assert engine.supervisor.incarnation == 2


async def test_an_engine_that_dies_asleep_does_not_come_back_by_itself(tmp_path: Path) -> None:
    """Its memory belongs to another; it is started when it is its turn."""
    async with stub_engine(tmp_path, spec=spec(tmp_path)) as engine:
        await engine.ready()
        await engine.supervisor.rest()
        await _kill(engine)
        await until(lambda: engine.supervisor.status.state == "stopped")
        assert "while it slept" in engine.supervisor.status.detail
        assert engine.supervisor.incarnation == 1
        await engine.supervisor.start()
        await engine.ready(times=2)


PLACED = Placement("stub", (0,), gib=20.0, kv_gib=5.0, utilization=0.25)


@asynccontextmanager
async def sleeper_on_a_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[StubEngine, dict[int, float | None]]]:
    """An engine that may sleep, and what the card's driver tells of processes' memory."""
    card = FakeCard()
    install(monkeypatch, FakeNvml(card))
    monkeypatch.setattr(sleeping, "FREED_WITHIN_S", 0.1)
    placed = replace(spec(tmp_path), placement=PLACED)
    async with stub_engine(tmp_path, spec=placed) as engine:
        await engine.ready()
        yield engine, card.processes


async def test_an_engine_that_frees_its_card_stays_asleep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It keeps its context only; another program's memory is not its own."""
    async with sleeper_on_a_card(tmp_path, monkeypatch) as (engine, memory):
        pid = engine.supervisor.status.pid or 0
        memory |= {pid: 1.0, 1: 60.0}
        await engine.supervisor.rest()
        assert engine.supervisor.status.state == "asleep"
        memory[pid] = 20.5
        await engine.supervisor.start()
        assert (engine.supervisor.status.state, engine.supervisor.status.pid) == ("ready", pid)


async def test_an_engine_that_keeps_its_memory_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says that it sleeps, and the driver tells otherwise."""
    async with sleeper_on_a_card(tmp_path, monkeypatch) as (engine, memory):
        pid = engine.supervisor.status.pid or 0
        memory[pid] = 20.0
        await engine.supervisor.rest()
        assert engine.supervisor.status.state == "stopped"
        assert not alive(pid)


async def test_an_engine_that_grew_in_its_sleep_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a new process, which takes its share and no more."""
    async with sleeper_on_a_card(tmp_path, monkeypatch) as (engine, memory):
        pid = engine.supervisor.status.pid or 0
        memory[pid] = 1.0
        await engine.supervisor.rest()
        memory[pid] = 22.0
        await engine.supervisor.start()
        await engine.ready(times=2)
        assert not alive(pid)
        assert engine.supervisor.incarnation == 2


async def test_where_the_driver_tells_no_sizes_the_engine_is_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in containers."""
    async with sleeper_on_a_card(tmp_path, monkeypatch) as (engine, memory):
        memory[engine.supervisor.status.pid or 0] = None
        await engine.supervisor.rest()
        assert engine.supervisor.status.state == "asleep"


async def _kill(engine: StubEngine) -> None:
    async with httpx.AsyncClient() as http:
        with pytest.raises(httpx.HTTPError):
            await http.get(f"{engine.supervisor.status.base_url}/die")


@asynccontextmanager
async def turns(tmp_path: Path) -> AsyncIterator[tuple[Residents, dict[str, StubEngine]]]:
    """Two engines that sleep; one of them is awake at a time."""
    residents, stubs = Residents(5.5, Lru()), {}
    for name in "ab":
        (tmp_path / name).mkdir()
        stubs[name] = StubEngine(tmp_path / name, spec=spec(tmp_path / name, name))
        residents.register(stubs[name].supervisor, SLEEPER)
    yield residents, stubs
    await residents.aclose()


async def test_engines_take_turns_in_sleeping(tmp_path: Path) -> None:
    """Each process is started once, and answers whenever it is asked."""
    async with turns(tmp_path) as (residents, stubs):
        pool = Pool(residents.engines, timeout_s=30.0, residents=residents)
        body = {"messages": [{"role": "user", "content": "Who are you?"}]}
        said = []
        for name in "ababab":
            async with pool.ask(Call(Expert(name, "engine", name, engine=name), body)) as reply:
                said.append((await reply.whole()).text)
            asleep = [n for n, stub in stubs.items() if stub.supervisor.status.state == "asleep"]
            assert asleep == [other for other in "ab" if other != name][: len(said) - 1]
        assert len(set(said)) == 2
        assert calls(tmp_path / "a") == ["/sleep?level=1", "/wake_up"] * 2 + ["/sleep?level=1"]
        await pool.aclose()
    assert all(stub.supervisor.status.state == "stopped" for stub in stubs.values())


async def test_what_sleepers_keep_is_not_there_for_others(tmp_path: Path) -> None:
    """A third would leave too little for any of them to wake."""
    async with turns(tmp_path) as (residents, _):
        third = StubEngine(tmp_path, spec=spec(tmp_path, "c")).supervisor
        with pytest.raises(SetupError, match=r"beside 2\.0 GiB of engines that sleep"):
            residents.register(third, SLEEPER)
        assert "c" not in residents


def test_an_engine_that_slept_is_expected_to_wake_soon() -> None:
    """Its first load takes 40 s, the next one 3 s, until that is measured."""
    scheduler = Scheduler({"a": SLEEPER, "b": SLEEPER}, 5.0, Lru())
    assert load_s(scheduler, "a") == 40.0
    scheduler.arrived(Request(0, "a", 0.0))
    scheduler.step(0.0)
    scheduler.loaded("a", 40.0, 38.0)
    assert load_s(scheduler, "a") == 3.0
    scheduler.gone("a", asleep=True)
    assert load_s(scheduler, "a") == 3.0
    scheduler.loaded("a", 50.0, 2.0, woke=True)
    scheduler.gone("a", asleep=True)
    assert load_s(scheduler, "a") == 2.0
    scheduler.gone("a")  # it died
    assert load_s(scheduler, "a") == 38.0


def load_s(scheduler: Scheduler, engine: str) -> float:
    return scheduler.view(100.0).engines[engine].cost.load_s
