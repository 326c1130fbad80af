"""Engines that are ours to run."""

from __future__ import annotations

from dataclasses import replace

from collegium.registry.engines import EngineDescription, EngineRegistry

POET = EngineDescription(
    name="poet",
    model_path="/models/poet",
    dtype="bfloat16",
    context=4096,
    max_sequences=16,
    cache_gib=2.5,
    device="0,1",
    lora_slots=4,
    flags="--seed=1 --quantization=awq",
)


async def test_a_description_is_read_back(engines: EngineRegistry) -> None:
    """Every field."""
    await engines.describe(POET)

    assert await engines.described() == (POET,)


async def test_a_later_description_takes_the_earlier_ones_place(engines: EngineRegistry) -> None:
    """Fields that became empty are empty."""
    plain = EngineDescription("poet", "/models/poet")
    await engines.describe(POET)
    await engines.describe(plain)

    assert await engines.described() == (plain,)


async def test_engines_are_listed_by_name(engines: EngineRegistry) -> None:
    """In one order on every database."""
    for name in ("b", "C", "a"):
        await engines.describe(replace(POET, name=name))

    assert [engine.name for engine in await engines.described()] == ["C", "a", "b"]


async def test_a_forgotten_engine_leaves_nothing(engines: EngineRegistry) -> None:
    """Neither does one that was never known; others stay."""
    other = replace(POET, name="other")
    await engines.describe(POET)
    await engines.describe(other)
    await engines.forget("poet")
    await engines.forget("nobody")

    assert await engines.described() == (other,)
