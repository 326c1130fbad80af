"""Engines as the settings want them, and what they take of the memory that is set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from collegium.errors import SetupError
from collegium.experts.configured import configured_fleet, embedded_spec, sparse_spec
from collegium.experts.memory import GIB, PROCESS_GIB, engine_gib, weights_gib
from collegium.experts.roster import SPARSE_MODEL
from collegium.registry.engine import Engine
from collegium.settings import Settings
from tests.experts.engines import spec_of


def settings(tmp_path: Path, **given: Any) -> Settings:
    return Settings(data_dir=tmp_path, cache_dir=tmp_path / "cache", **given)


def model(folder: Path, *, size: int, config: str) -> Path:
    """A model's folder with weights of so many bytes, which take no disk."""
    folder.mkdir()
    (folder / "config.json").write_text(config)
    with (folder / "model.safetensors").open("wb") as file:
        file.truncate(size)
    return folder


async def test_without_a_budget_all_engines_run(tmp_path: Path) -> None:
    """The embedded one and the mixture's."""
    fleet = configured_fleet(settings(tmp_path))
    assert list(fleet) == ["embedded", "sparse"]
    assert fleet.residents is None


def test_the_settings_describe_engines_as_the_registry_does(tmp_path: Path) -> None:
    """The same type, as large as is set, beyond what the API lets callers ask for, too."""
    given = settings(tmp_path, engine_max_sequences=5000, engine_context=1024, engine_cache_gib=2)
    size: dict[str, Any] = {"max_sequences": 5000, "context": 1024, "cache_gib": 2.0}
    folder = tmp_path / "cache"
    for spec, name, model_name, slots in (
        (embedded_spec(given), "embedded", "SmolLM2-135M-Instruct", 8),
        (sparse_spec(given), "sparse", SPARSE_MODEL, 0),
    ):
        path = str(folder / model_name)
        assert spec.engine == Engine.model_construct(
            name=name, model_path=path, lora_slots=slots, **size
        )


async def test_the_embedded_engine_counts_against_the_budget(tmp_path: Path) -> None:
    """What it takes is not there for those that take turns, and it is not one of them."""
    given = settings(tmp_path, engine_memory_gib=10.0, engine_cache_gib=2.0)
    residents = configured_fleet(given).residents
    assert residents is not None
    embedded_gib = engine_gib(embedded_spec(given), file_gib=0.25)
    assert 4.7 < embedded_gib < 5.1
    assert residents.budget_gib == pytest.approx(10.0 - embedded_gib)
    assert "embedded" not in residents


async def test_without_the_embedded_pool_all_of_the_budget_is_the_experts(tmp_path: Path) -> None:
    """Nothing else is loaded."""
    fleet = configured_fleet(settings(tmp_path, engine_memory_gib=3.0, embedded=False))
    assert fleet.residents is not None
    assert fleet.residents.budget_gib == 3.0


def test_a_budget_too_small_for_the_embedded_engine_is_a_setup_error(tmp_path: Path) -> None:
    """Told before anything starts, with what it takes and two ways out."""
    with pytest.raises(
        SetupError, match=r"about [34]\.\d+ GiB of it \(set more, or embedded = fal"
    ):
        configured_fleet(settings(tmp_path, engine_memory_gib=2.0))


async def test_the_mixture_takes_turns_where_engines_do(tmp_path: Path) -> None:
    """It is not started beside the others, and refused where it could never fit."""
    given = settings(tmp_path, engine_memory_gib=10.0)
    fleet = configured_fleet(given)
    await fleet.run(fleet["sparse"])
    assert fleet.residents is not None
    assert "sparse" in fleet.residents
    assert fleet["sparse"].status.state == "stopped"
    small = configured_fleet(given.model_copy(update={"engine_memory_gib": 5.0}))
    with pytest.raises(SetupError, match="'sparse' takes about"):
        await small.run(small["sparse"])


@pytest.mark.parametrize(
    ("config", "dtype", "gib"),
    [
        ('{"torch_dtype": "bfloat16"}', "bfloat16", 1.0),
        ('{"torch_dtype": "bfloat16"}', "float32", 2.0),
        ('{"dtype": "float32"}', "bfloat16", 0.5),
        ('{"dtype": "float8_e4m3fn"}', "bfloat16", 1.0),
        ("{}", "float32", 1.0),
        ("no json", "float32", 1.0),
        ("[]", "float32", 1.0),
    ],
)
def test_weights_count_in_the_precision_they_are_loaded_with(
    tmp_path: Path, config: str, dtype: str, gib: float
) -> None:
    """Half the bytes on the disk are all of them in float32; what is unknown stays as it is."""
    folder = model(tmp_path / "model", size=GIB, config=config)
    assert weights_gib(folder, dtype) == gib


def test_an_engine_takes_its_weights_its_cache_and_a_process(tmp_path: Path) -> None:
    """The cache as vLLM is told it: whole GiB, one at least."""
    folder = model(tmp_path / "model", size=GIB, config='{"dtype": "bfloat16"}')
    for cache, told in ((0.2, 1.0), (2.6, 3.0)):
        spec = spec_of("e", folder, dtype="bfloat16", cache_gib=cache)
        assert engine_gib(spec) == 1.0 + told + PROCESS_GIB
