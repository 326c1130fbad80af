"""Adapters are checked, loaded and asked before they are registered."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from collegium.errors import CollegiumError
from collegium.experts.pool import Pool
from collegium.experts.registration import Registration
from collegium.experts.roster import ENGINE
from collegium.experts.vllm import USUAL_LORA_RANK
from collegium.registry.expert import Expert
from collegium.registry.experts import ExpertRegistry
from tests.experts.conftest import refused
from tests.experts.engines import stub_engine

LORA = {"peft_type": "LORA", "r": 4}


def adapter(folder: Path, *, config: Any = None, weights: str = "adapter_model.safetensors") -> str:
    """A folder like that of a LoRA adapter; return its path."""
    folder.mkdir()
    (folder / weights).write_bytes(b"weights")
    text = config if isinstance(config, str) else json.dumps(config or LORA)
    (folder / "adapter_config.json").write_text(text)
    return str(folder)


def lora(path: str | None) -> Expert:
    """A LoRA adapter on the engine of the tests."""
    return Expert("mine", "lora", "mine", engine=ENGINE, adapter=path)


async def test_an_adapter_is_loaded_asked_and_registered(
    registry: ExpertRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its folder is registered as an absolute path."""
    adapter(tmp_path / "lora")
    (tmp_path / "engine").mkdir()
    monkeypatch.chdir(tmp_path)
    async with stub_engine(tmp_path / "engine") as engine:
        await engine.ready()
        pool = Pool({ENGINE: engine.supervisor}, timeout_s=10.0)
        expert, report = await Registration(registry, pool).register(lora("lora"))
        await pool.aclose()

    assert report.answered
    assert expert.adapter == str((tmp_path / "lora").resolve())
    requests = (tmp_path / "engine" / "requests").read_text().splitlines()
    (load, body), (ask, asked) = map(json.loads, requests)
    assert (load, ask) == ("/v1/load_lora_adapter", "/v1/chat/completions")
    assert body["lora_path"] == expert.adapter
    assert asked["model"] == body["lora_name"] != "mine"


@pytest.mark.parametrize("weights", ["adapter_model.bin", "adapter_model.pt"])
async def test_pickled_weights_are_never_loaded(
    registration: Registration, registry: ExpertRegistry, tmp_path: Path, weights: str
) -> None:
    """A pickle can run anything."""
    path = adapter(tmp_path / "lora", weights=weights)
    told = await refused(registration, registry, lora(path))
    assert "has no adapter_model.safetensors (weights in pickles" in told


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ("{", "no usable adapter_config.json"),
        ("[]", "no usable adapter_config.json"),
        ({"r": 4}, "KeyError: 'peft_type'"),
        ({"peft_type": "LORA"}, "KeyError: 'r'"),
        ({"peft_type": "LORA", "r": "many"}, "no usable adapter_config.json"),
        ('{"peft_type": "LORA", "r": Infinity}', "no usable adapter_config.json"),
        ({"peft_type": "IA3", "r": 4}, "of type IA3, not LORA"),
        ({"peft_type": "LORA", "r": USUAL_LORA_RANK + 1}, f"takes 1 to {USUAL_LORA_RANK}"),
        ({"peft_type": "LORA", "r": 4, "rank_pattern": {"q_proj": 64}}, "has rank 64"),
        ({"peft_type": "LORA", "r": 4, "rank_pattern": [64]}, "no usable adapter_config.json"),
        ({"peft_type": "LORA", "r": 4, "use_dora": True}, "is DoRA, which vLLM does not compute"),
        ({"peft_type": "LORA", "r": 0}, "has rank 0"),
    ],
)
async def test_an_adapter_that_the_engine_could_not_load_is_refused(
    registration: Registration, registry: ExpertRegistry, tmp_path: Path, config: Any, told: str
) -> None:
    """From its configuration, before the engine is troubled."""
    path = adapter(tmp_path / "lora", config=config)
    assert told in await refused(registration, registry, lora(path))


@pytest.mark.parametrize("path", [None, "nowhere", "builtin:nothing", "bad\0name"])
async def test_an_adapter_folder_that_is_not_there_is_refused(
    registration: Registration, registry: ExpertRegistry, path: str | None
) -> None:
    """The message says where it was looked for."""
    assert "there is no adapter folder" in await refused(registration, registry, lora(path))


async def test_an_adapter_needs_an_engine(
    registration: Registration, registry: ExpertRegistry, tmp_path: Path
) -> None:
    """It can't run alone."""
    expert = replace(lora(adapter(tmp_path / "lora")), engine=None)
    assert "needs the engine" in await refused(registration, registry, expert)


async def test_an_engine_that_does_not_exist_is_refused(
    registration: Registration, registry: ExpertRegistry, tmp_path: Path
) -> None:
    """A misspelt engine would never come."""
    expert = replace(lora(adapter(tmp_path / "lora")), engine="embeded")
    told = await refused(registration, registry, expert)
    assert "there is no engine 'embeded'; available: embedded" in told


async def test_where_no_engine_runs_an_adapter_is_registered_unasked(
    registration: Registration, tmp_path: Path
) -> None:
    """The command line may register for a service that does not run; the report says so."""
    _, report = await registration.register(lora(adapter(tmp_path / "lora")))
    assert not report.answered
    assert "not running here" in report.note


async def test_an_adapter_that_the_engine_refuses_is_not_registered(
    registry: ExpertRegistry, tmp_path: Path
) -> None:
    """With the engine's words."""
    (tmp_path / "engine").mkdir()
    async with stub_engine(tmp_path / "engine", "no-adapters") as engine:
        await engine.ready()
        pool = Pool({ENGINE: engine.supervisor}, timeout_s=10.0)
        expert = lora(adapter(tmp_path / "lora"))
        told = await refused(Registration(registry, pool), registry, expert)
        await pool.aclose()
    assert "no such adapter" in told


async def test_an_engine_that_still_starts_says_so(
    registry: ExpertRegistry, tmp_path: Path
) -> None:
    """Then the adapter can't be asked, and is not registered yet."""
    (tmp_path / "engine").mkdir()
    async with stub_engine(tmp_path / "engine", "never") as engine:
        pool = Pool({ENGINE: engine.supervisor}, timeout_s=10.0)
        with pytest.raises(CollegiumError, match="'stub' is"):
            await Registration(registry, pool).register(lora(adapter(tmp_path / "lora")))
    assert await registry.list() == ()
