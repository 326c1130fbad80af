"""Engines that are ours to run."""

from __future__ import annotations

from collegium.registry.engine import Engine
from collegium.registry.engines import EngineRegistry

POET = Engine(
    name="poet",
    model_path="/models/poet",
    dtype="bfloat16",
    context=4096,
    max_sequences=16,
    cache_gib=2.5,
    device="0,1",
    lora_slots=4,
    flags="--seed=1 --quantization=awq",
    sleep_level=2,
    token_policy={"top_p": 0.7, "layers": {"3": {"kept": [0, 1]}}},
)


async def test_an_engine_is_read_back(engines: EngineRegistry) -> None:
    """Every field."""
    await engines.register(POET)

    assert await engines.list() == (POET,)


async def test_a_later_registration_takes_the_earlier_ones_place(engines: EngineRegistry) -> None:
    """Fields that became empty are empty."""
    plain = Engine(name="poet", model_path="/models/poet")
    await engines.register(POET)
    await engines.register(plain)

    assert await engines.list() == (plain,)


async def test_engines_are_listed_by_name(engines: EngineRegistry) -> None:
    """In one order on every database."""
    for name in ("b", "C", "a"):
        await engines.register(POET.model_copy(update={"name": name}))

    assert [engine.name for engine in await engines.list()] == ["C", "a", "b"]


async def test_a_removed_engine_leaves_nothing(engines: EngineRegistry) -> None:
    """Neither does one that was never known; others stay."""
    other = POET.model_copy(update={"name": "other"})
    await engines.register(POET)
    await engines.register(other)
    await engines.remove("poet")
    await engines.remove("nobody")

    assert await engines.list() == (other,)
