"""Engines of the registry: started, followed and ended."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from collegium.errors import ExpertExists, ProbeFailed, RegistryError
from collegium.experts.fleet import Fleet, check
from collegium.experts.pool import Pool
from collegium.experts.registration import Registration
from collegium.experts.supervisor import Supervisor
from collegium.experts.token_policies import policy_for
from collegium.experts.vllm import EngineSpec, lora_rank
from collegium.kernels.token_policy import CapacityLimit, TokenPolicy
from collegium.registry.engine import Engine
from collegium.registry.engines import EngineRegistry
from collegium.registry.expert import Expert
from collegium.registry.experts import ExpertRegistry
from tests.experts.engines import IMPATIENT, StubEngine, alive, until
from tests.experts.test_registration_adapters import adapter

EXPERT = Expert("poet", "engine", "poet", engine="poet")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder that looks like a model."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


@pytest.fixture
def engine(model: Path) -> Engine:
    """An engine that serves it."""
    return Engine(name="poet", model_path=str(model))


@pytest.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[Fleet]:
    """A fleet of stubs; in the folder `stub` a test lets them misbehave."""
    (tmp_path / "stub").mkdir()

    def supervise(spec: EngineSpec) -> Supervisor:
        return StubEngine(tmp_path / "stub", patience=IMPATIENT, spec=spec).supervisor

    fleet = Fleet(supervise, Path("python"))
    yield fleet
    await fleet.stop()


@pytest.fixture
async def registration(registry: ExpertRegistry, fleet: Fleet) -> AsyncIterator[Registration]:
    """Registers experts with engines of their own."""
    pool = Pool(fleet, timeout_s=10.0)
    yield Registration(registry, pool, fleet, EngineRegistry(registry.database))
    await pool.aclose()


async def test_an_adapter_of_a_higher_rank_starts_its_engine_anew(
    registration: Registration,
    registry: ExpertRegistry,
    fleet: Fleet,
    engine: Engine,
    tmp_path: Path,
) -> None:
    """For the rank in its adapter_config.json, which is kept; a lower one is no reason."""
    slots = engine.model_copy(update={"lora_slots": 4, "flags": "--seed=1"})
    await registration.register_engine(EXPERT, slots)
    for name, rank, starts in (("low", 8, 1), ("high", 20, 2), ("lower", 32, 2)):
        path = adapter(tmp_path / name, config={"peft_type": "LORA", "r": rank})
        before = fleet["poet"]
        await registration.register(Expert(name, "lora", name, engine="poet", adapter=path))
        assert (fleet["poet"] is before) == (starts == 1 or rank == 32)
    assert fleet["poet"].spec.flags == ["--seed=1", "--max-lora-rank=32"]
    (kept,) = await EngineRegistry(registry.database).list()
    assert lora_rank(kept) == 32
    await fleet.follow([kept])
    assert fleet["poet"].status.state == "ready"
    assert (await registration.probe(EXPERT)).answered, "it asks the new engine"


async def test_an_adapter_of_a_higher_rank_needs_slots(
    registration: Registration, fleet: Fleet, engine: Engine, tmp_path: Path
) -> None:
    """The engine is left as it is."""
    await registration.register_engine(EXPERT, engine)
    before = fleet["poet"]
    path = adapter(tmp_path / "high", config={"peft_type": "LORA", "r": 16})
    with pytest.raises(ProbeFailed, match="no slots for adapters"):
        await registration.register(Expert("high", "lora", "high", engine="poet", adapter=path))
    assert fleet["poet"] is before


async def test_a_window_that_nobody_stated_is_the_checkpoints(
    registration: Registration, engine: Engine
) -> None:
    """As far as the cache has room for it; and the engine is started so."""
    shape = {"num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8}
    config = {**shape, "hidden_size": 4096, "max_position_embeddings": 131072}
    (Path(engine.model_path) / "config.json").write_text(json.dumps(config))
    wide = engine.model_copy(update={"dtype": "bfloat16", "cache_gib": 2.0})
    expert, report = await registration.register_engine(EXPERT, wide, context_stated=False)
    assert expert.context_window == 2 * 8192
    assert report.looked_up == {"context_window": "its checkpoint, and the memory here"}


async def test_an_expert_comes_with_its_engine_and_goes_with_it(
    registration: Registration, registry: ExpertRegistry, fleet: Fleet, engine: Engine
) -> None:
    """Started, probed and kept; ended when it is removed."""
    _, report = await registration.register_engine(EXPERT, engine)
    assert report.answered
    engines = EngineRegistry(registry.database)
    assert await engines.list() == (engine,)
    pid = fleet["poet"].status.pid or 0
    await fleet.follow(await engines.list())
    assert alive(pid)
    await registration.remove("poet")
    await fleet.follow(await engines.list())
    assert "poet" not in fleet
    assert not alive(pid)


async def test_an_engine_that_does_not_start_changes_nothing(
    registration: Registration,
    registry: ExpertRegistry,
    fleet: Fleet,
    engine: Engine,
    tmp_path: Path,
) -> None:
    """Its last words are the refusal."""
    (tmp_path / "stub" / "crash").touch()
    with pytest.raises(ProbeFailed, match="these are no weights"):
        await registration.register_engine(EXPERT, engine)
    assert not len(fleet)
    assert await registry.list() == ()
    assert await EngineRegistry(registry.database).list() == ()


async def test_a_name_that_is_taken_starts_nothing(
    registration: Registration, fleet: Fleet, engine: Engine
) -> None:
    """An expert's or an engine's."""
    await registration.register_engine(EXPERT, engine)
    with pytest.raises(ExpertExists):
        await registration.register_engine(EXPERT, engine)
    with pytest.raises(ExpertExists, match="an engine 'poet'"):
        await registration.register_engine(replace(EXPERT, name="other"), engine)
    assert fleet["poet"].incarnation == 1


async def test_an_engine_with_other_experts_on_it_stays(
    registration: Registration, registry: ExpertRegistry, engine: Engine
) -> None:
    """They would lose their ground."""
    await registration.register_engine(EXPERT, engine)
    await registry.register(Expert("rhymes", "lora", "rhymes", engine="poet", adapter="/x"))
    with pytest.raises(RegistryError, match="also runs rhymes"):
        await registration.remove("poet")
    await registration.remove("rhymes")
    await registration.remove("poet")


async def test_another_process_follows_the_registry(
    fleet: Fleet, engine: Engine, tmp_path: Path
) -> None:
    """It runs what is registered and lies on its machine, and what changed anew."""
    elsewhere = Engine(name="far", model_path=str(tmp_path / "nothing"))
    await fleet.follow([engine, elsewhere])
    assert list(fleet) == ["poet"]
    await until(lambda: fleet["poet"].status.state == "ready")
    first = fleet["poet"].status.pid or 0
    await fleet.follow([engine.model_copy(update={"max_sequences": 4})])
    assert fleet["poet"].spec.max_sequences == 4
    assert not alive(first)
    await fleet.follow([])
    assert not len(fleet)


async def test_an_engine_on_trial_is_left_alone(fleet: Fleet, engine: Engine) -> None:
    """Another change of the registry comes while it starts."""
    await fleet.start(engine)
    await fleet.follow([])
    assert "poet" in fleet
    await fleet.follow([engine])
    await fleet.follow([])
    assert "poet" not in fleet


@pytest.mark.parametrize(
    ("missing", "words"), [("config.json", "not a model folder"), ("model.safetensors", "pickles")]
)
def test_what_is_no_model_is_refused(engine: Engine, missing: str, words: str) -> None:
    """Before anything is started."""
    (Path(engine.model_path) / missing).unlink()
    with pytest.raises(ProbeFailed, match=words):
        check(engine)


@pytest.mark.parametrize(
    "flags", ["--trust-remote-code", "--host=0.0.0.0", "--seed=1 --middleware=os.system"]
)
def test_options_that_could_run_code_are_refused(engine: Engine, flags: str) -> None:
    """Only known ones are passed on."""
    check(engine.model_copy(update={"flags": "--seed=1 --max-num-batched-tokens=512"}))
    with pytest.raises(ProbeFailed, match="are not allowed"):
        check(engine.model_copy(update={"flags": flags}))


CROWDED: dict[str, Any] = {"capacity": {"factor": 1.0}}


@pytest.mark.parametrize(
    ("policy", "why"),
    [
        (CROWDED, r"another's answer.*single_tenant: true.*several callers"),
        ({"top_p": 2}, "top_p"),
    ],
)
async def test_several_tenants_get_no_policy_that_lets_them_meet(
    model: Path, tmp_path: Path, policy: dict[str, Any], why: str
) -> None:
    """A capacity is refused unless it is declared single-tenant; nothing is started."""
    (model / "config.json").write_text('{"num_local_experts": 4}')
    declared = Engine(name="poet", model_path=str(model), token_policy=policy)
    fleet = Fleet(unused, Path("python"), several_tenants=True)
    with pytest.raises(ProbeFailed, match=why):
        await fleet.start(declared)
    await fleet.follow([declared])
    assert "poet" not in fleet


def test_one_tenant_may_have_a_capacity(model: Path) -> None:
    """The service declares for its engine that it has one tenant."""
    (model / "config.json").write_text('{"text_config": {"num_experts": 8}}')
    crowded = Engine(name="poet", model_path=str(model), token_policy=CROWDED)
    found = policy_for(crowded, several_tenants=False)
    assert found is not None
    assert found.single_tenant
    alone = Engine(
        name="poet",
        model_path=str(model),
        token_policy={"capacity": {}, "single_tenant": True},
    )
    assert policy_for(alone, several_tenants=True) == TokenPolicy(
        capacity=CapacityLimit(), single_tenant=True
    )


def test_a_policy_is_for_sparse_models_on_our_kernels(
    engine: Engine, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On others it would change nothing, silently."""
    declared = engine.model_copy(update={"token_policy": {"top_p": 0.5}})
    with pytest.raises(ProbeFailed, match="has no experts"):
        policy_for(declared, several_tenants=False)
    (model / "config.json").write_text('{"num_experts": 8}')
    monkeypatch.setenv("COLLEGIUM_MOE", "off")
    with pytest.raises(ProbeFailed, match="COLLEGIUM_MOE is off"):
        policy_for(declared, several_tenants=False)


def unused(spec: EngineSpec) -> Supervisor:
    raise AssertionError(f"'{spec.name}' was started")
