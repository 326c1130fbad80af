"""Placement in the service: a fleet of stub engines on the cards of an imitated NVML."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from collegium.errors import SetupError
from collegium.experts.fleet import Fleet
from collegium.experts.placement import live
from collegium.experts.placement.live import Placer, placer_here
from collegium.experts.placement.nvml import Gpu
from collegium.experts.residency.live import Residents
from collegium.experts.residency.lru import Lru
from collegium.experts.residency.scheduler import Request, Scheduler
from collegium.experts.residency.view import EngineCost
from collegium.experts.sizing import context_of
from collegium.experts.supervisor import Supervisor
from collegium.experts.vllm import EngineSpec, environment, is_eager
from collegium.registry.engine import Engine
from tests.experts.engines import StubEngine
from tests.fake_nvml import FakeCard, FakeNvml, install

CONFIG = {
    "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
    "hidden_size": 4096, "intermediate_size": 14336, "max_position_embeddings": 131072,
    "dtype": "bfloat16", "model_type": "llama",
}  # fmt: skip
GIB = 2**30


def cards(*sizes: float, capability: tuple[int, int] = (9, 0)) -> list[Gpu]:
    return [Gpu(i, "card", size, size, capability) for i, size in enumerate(sizes)]


def model(folder: Path, gib: float, **config: Any) -> Path:
    """A model of an 8B's shape, whose weights take no disk."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(CONFIG | config))
    with (folder / "model.safetensors").open("wb") as file:
        file.truncate(int(gib * GIB))
    return folder


def engine(folder: Path, name: str, gib: float, **options: Any) -> Engine:
    """An engine whose KV cache takes 1 GiB: one request of 8192 tokens."""
    path = str(model(folder / name / "model", gib))
    given: dict[str, Any] = {"context": 8192, "max_sequences": 1} | options
    return Engine(name=name, model_path=path, **given)


@pytest.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[Fleet]:
    """On two cards of 40 GiB, of which engines may fill 36.8."""

    def supervise(spec: EngineSpec) -> Supervisor:
        return StubEngine(tmp_path / spec.name, spec=spec).supervisor

    placer = Placer(cards(40.0, 40.0))
    found = Fleet(
        supervise, Path("python"), residents=Residents(placer.budget_gib, Lru()), placer=placer
    )
    yield found
    await found.stop()


def placements(fleet: Fleet) -> dict[str, tuple[tuple[int, ...], bool]]:
    """Each engine's cards, and whether it is resident."""
    placed = {name: supervisor.spec.placement for name, supervisor in fleet.items()}
    return {name: (p.cards, p.resident) for name, p in placed.items() if p is not None}


async def test_registered_engines_are_planned_together(fleet: Fleet, tmp_path: Path) -> None:
    """One by one in this order the small ones would have taken the large one's place."""
    engines = [engine(tmp_path, name, gib) for name, gib in (("a", 5), ("b", 5), ("large", 30.0))]
    await fleet.follow(engines)
    found = placements(fleet)
    assert all(resident for _, resident in found.values())
    assert found["a"][0] == found["b"][0] != found["large"][0]
    settled = [(await fleet.settled(name)).state for name in found]
    assert settled == ["ready"] * 3


async def test_a_newcomer_takes_what_is_left_and_none_moves(fleet: Fleet, tmp_path: Path) -> None:
    """When an engine is removed, its memory is there for the next one."""
    await fleet.start(engine(tmp_path, "a", 25.0))
    first = placements(fleet)["a"]
    await fleet.start(engine(tmp_path, "b", 25.0))
    assert placements(fleet)["a"] == first
    assert {c for cards, _ in placements(fleet).values() for c in cards} == {0, 1}
    with pytest.raises(SetupError, match="'c' does not fit on the GPUs: it takes"):
        await fleet.start(engine(tmp_path, "c", 25.0))
    await fleet.end("b")
    await fleet.start(engine(tmp_path, "d", 25.0))
    assert placements(fleet)["d"][1]


async def test_engines_take_turns_on_their_card(fleet: Fleet, tmp_path: Path) -> None:
    """The loaded one on a card goes for the other; the engine of the other card stays."""
    engines = [engine(tmp_path, name, 25.0) for name in ("a", "b", "c")]
    await fleet.follow(engines)
    found = placements(fleet)
    turns = [name for name, (_, resident) in found.items() if not resident]
    (stays,) = set(found) - set(turns)
    assert len(turns) == 2
    assert len({found[name][0] for name in turns}) == 1
    for name in (*turns, *turns):
        assert (await fleet.settled(name)).state == "ready"
        assert fleet.residents is not None
        assert fleet.residents.resident == (name,)
    assert (await fleet.settled(stays)).state == "ready"


async def test_an_embedded_engine_takes_no_turns(fleet: Fleet, tmp_path: Path) -> None:
    """Before its model is on the disk it counts with the shape that is known of it."""
    spec = EngineSpec(Engine(name="embedded", model_path=str(tmp_path / "later"), lora_slots=8))
    (tmp_path / "embedded").mkdir()
    supervisor = StubEngine(tmp_path / "embedded", spec=spec).supervisor
    await fleet.keep(supervisor)
    placement = supervisor.spec.placement
    assert placement is not None
    assert placement.resident
    assert fleet.residents is not None
    assert fleet.residents.budget_gib == pytest.approx(36.8)  # of the other card
    await supervisor.stop()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"flags": "--gpu-memory-utilization=0.9"}, "can't be given --gpu-memory-utilization"),
        ({"flags": "--pipeline-parallel-size=2"}, "can't be given --pipeline-parallel-size"),
        ({"device": "7"}, "does not fit"),
    ],
)
async def test_what_no_plan_can_have_is_refused(
    fleet: Fleet, tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    """Before anything starts."""
    with pytest.raises(SetupError, match=said):
        await fleet.start(engine(tmp_path, "a", 5.0, **options))
    assert "a" not in fleet


async def test_a_wish_for_cards_is_heard(fleet: Fleet, tmp_path: Path) -> None:
    """As `--device`, and as a tensor-parallel degree."""
    await fleet.start(engine(tmp_path, "a", 5.0, device="1"))
    await fleet.start(engine(tmp_path, "b", 5.0, flags="--tensor-parallel-size=2"))
    assert placements(fleet) == {"a": ((1,), True), "b": ((0, 1), True)}
    spec = fleet["b"].spec
    assert environment(spec)["CUDA_VISIBLE_DEVICES"] == "0,1"
    assert environment(spec)["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    assert not is_eager(spec)


@pytest.mark.parametrize(
    ("config", "capability", "dtype"),
    [
        ({}, (9, 0), "bfloat16"),
        ({"dtype": "float16"}, (9, 0), "float16"),
        ({"dtype": None, "torch_dtype": "float32"}, (9, 0), "bfloat16"),
        ({}, (7, 5), "float16"),
    ],
)
async def test_the_precision_is_the_checkpoints_where_the_card_has_it(
    tmp_path: Path, config: dict[str, Any], capability: tuple[int, int], dtype: str
) -> None:
    """float32 is loaded in 16 bits, and counts so."""
    path = model(tmp_path / "model", 8.0, **config)
    placer = Placer(cards(40.0, capability=capability))
    spec = EngineSpec(Engine(name="a", model_path=str(path), context=8192, max_sequences=1))
    placed = await placer.placed(spec)
    assert placed.dtype == dtype
    assert placed.placement is not None
    weights = 4.0 if config.get("torch_dtype") else 8.0
    assert placed.placement.gib == pytest.approx(weights + 1.0 + 2.5)


async def test_quantised_weights_count_as_they_are(tmp_path: Path) -> None:
    """Whatever number format their activations have."""
    quantised = {"quantization_config": {"quant_method": "awq"}, "dtype": "float32"}
    path = model(tmp_path / "model", 5.0, **quantised)
    spec = EngineSpec(Engine(name="a", model_path=str(path), context=8192, max_sequences=1))
    placed = await Placer(cards(40.0)).placed(spec)
    assert placed.placement is not None
    assert placed.placement.gib == pytest.approx(5.0 + 1.0 + 2.5)


def test_the_context_window_is_the_models_where_memory_allows(tmp_path: Path) -> None:
    """On a processor by its KV cache, on cards by what the weights leave of the best degree."""
    path = model(tmp_path / "model", 16.0)
    usable = Placer(cards(80.0)).cards
    assert context_of(path, 1.0, "bfloat16") == 8192
    assert context_of(path, 16.0, "bfloat16") == 131072
    assert context_of(path, 1.0, "bfloat16", usable) == 131072
    small = Placer(cards(24.0)).cards
    room = 0.92 * 24 - 16 - 2.5
    assert context_of(path, 1.0, "bfloat16", small) == int(room * 8192) // 16 * 16
    two = Placer(cards(24.0, 24.0)).cards
    assert context_of(path, 1.0, "bfloat16", two) == 131072


def test_engines_run_on_cards_where_the_build_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our interpreter's CPU build runs on the processor, another interpreter's on the cards."""
    install(monkeypatch, FakeNvml(FakeCard(), FakeCard()))
    found = placer_here(Path("/opt/vllm/bin/python"))
    assert found is not None
    assert [card.memory_gib for card in found.cards] == [80.0, 80.0]
    monkeypatch.setattr(live, "_is_cpu_build", lambda: True)
    assert placer_here(Path(sys.executable)) is None
    monkeypatch.setattr(live, "_is_cpu_build", lambda: False)
    assert placer_here(Path(sys.executable)) is not None
    install(monkeypatch, None)
    assert placer_here(Path("/opt/vllm/bin/python")) is None


def test_cards_are_scheduled_each_for_itself() -> None:
    """Only engines of the card that lacks memory are pushed out."""
    costs = {
        name: EngineCost(30.0, 40.0, cards=on)
        for name, on in {"a": (0,), "b": (1,), "c": (1,), "both": (0, 1)}.items()
    }
    scheduler = Scheduler(costs, {0: 36.0, 1: 36.0}, Lru())
    for number, name in enumerate(("a", "b")):
        scheduler.arrived(Request(number, name, float(number)))
        assert [c.what for c in scheduler.step(number)][-1] == "load"
        scheduler.loaded(name, number)
        scheduler.step(number)
        scheduler.finished(name, number)
    scheduler.arrived(Request(2, "c", 2.0))
    assert [(c.what, c.engine) for c in scheduler.step(2.0)] == [("unload", "b")]
    scheduler.gone("b")
    assert [(c.what, c.engine) for c in scheduler.step(3.0)] == [("load", "c")]
    scheduler.loaded("c", 4.0)
    scheduler.step(4.0)
    scheduler.finished("c", 4.0)
    scheduler.arrived(Request(3, "both", 5.0))
    assert {(c.what, c.engine) for c in scheduler.step(5.0)} == {("unload", "a"), ("unload", "c")}
