"""Registering, changing and removing experts."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest

from collegium.errors import ExpertExists, ExpertNotFound, RegistryError
from collegium.registry.expert import Expert
from collegium.registry.experts import ExpertRegistry
from tests.registry.conftest import OpenDatabase


def expert(name: str, **fields: Any) -> Expert:
    """Make an expert of which only the name matters."""
    return Expert(name=name, kind="openai", model=name, **fields)


async def test_an_expert_is_read_back_as_it_was_added(
    experts: ExpertRegistry, sql_expert: Expert
) -> None:
    """Every field survives, the order of the skills too."""
    await experts.register(sql_expert)

    read = await experts.get("sql")

    assert read == sql_expert
    assert list(read.skills) == ["sql", "general"]


async def test_skills_may_be_any_mapping(experts: ExpertRegistry) -> None:
    """A read-only mapping is stored like a dict."""
    await experts.register(expert("a", skills=MappingProxyType({"sql": 0.5})))

    assert (await experts.get("a")).skills == {"sql": 0.5}


async def test_experts_are_listed_by_name(experts: ExpertRegistry) -> None:
    """In the same order on every database: by code point, not by a language's rules."""
    for name in ("b", "a", "C", "a-1", "a1"):
        await experts.register(expert(name))

    assert [e.name for e in await experts.list()] == ["C", "a", "a-1", "a1", "b"]


async def test_a_name_is_taken_once(experts: ExpertRegistry, sql_expert: Expert) -> None:
    """The second expert of a name is refused and changes nothing."""
    await experts.register(sql_expert)

    with pytest.raises(ExpertExists, match="'sql' already exists"):
        await experts.register(expert("sql"))

    assert await experts.list() == (sql_expert,)
    assert await experts.revision() == 1


async def test_an_unknown_name_gets_close_names(experts: ExpertRegistry) -> None:
    """A slip of the finger is answered with what was probably meant."""
    await experts.register(expert("arithmetic"))
    await experts.register(expert("sql"))

    with pytest.raises(ExpertNotFound, match=r"did you mean arithmetic\?"):
        await experts.get("arithmetics")
    with pytest.raises(ExpertNotFound, match="registered: arithmetic, sql"):
        await experts.remove("poetry")
    with pytest.raises(ExpertNotFound, match="'poetry'"):
        await experts.update("poetry", enabled=False)


async def test_an_update_makes_the_next_version(
    experts: ExpertRegistry, sql_expert: Expert
) -> None:
    """Only what was named changes, besides the version."""
    await experts.register(sql_expert)

    after = await experts.update("sql", skills={"sql": 0.5}, enabled=True)

    assert after == replace(sql_expert, skills={"sql": 0.5}, enabled=True, version=2)
    assert await experts.get("sql") == after


async def test_an_update_of_an_unknown_or_fixed_field_is_refused(
    experts: ExpertRegistry, sql_expert: Expert
) -> None:
    """The message names the field."""
    await experts.register(sql_expert)

    with pytest.raises(RegistryError, match="has no prize; it has adapter, api_key_env"):
        await experts.update("sql", prize=1)
    with pytest.raises(RegistryError, match="name and version can't be changed"):
        await experts.update("sql", version=9, name="new")
    assert await experts.get("sql") == sql_expert


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"skills": {"sql": 1.5}}, "between 0 and 1"),
        ({"skills": {"sql": float("nan")}}, "between 0 and 1"),
        ({"input_price": -1.0}, "a price is"),
        ({"output_price": float("inf")}, "a price is"),
        ({"output_price": 1e308}, "a price is"),
        ({"parameters_b": 1e308}, "a size is"),
        ({"context_window": 2**31}, "a context window is"),
        ({"description": "\ud800"}, "all of them Unicode"),
        ({"skills": {"\ud800": 0.5}}, "all of them Unicode"),
        ({"description": "x" * 10_001}, "at most 10000 characters"),
        ({"context_window": 0}, "a context window is"),
        ({"tags": ("no phi",)}, "a tag is"),
        ({"tags": ("",)}, "a tag is"),
        ({"prior": 1.5}, "a prior is between 0 and 1"),
        ({"parameters_b": 0.0}, "a size is"),
        ({"kind": "magic"}, "not a kind of expert; available: engine, litellm"),
    ],
)
async def test_an_expert_that_cannot_work_is_refused(
    experts: ExpertRegistry, sql_expert: Expert, changes: dict[str, Any], rule: str
) -> None:
    """Both when it is added and when it is changed into one."""
    with pytest.raises(RegistryError, match=rule):
        await experts.register(replace(sql_expert, **changes))
    await experts.register(sql_expert)
    with pytest.raises(RegistryError, match=rule):
        await experts.update("sql", **changes)
    assert await experts.revision() == 1


@pytest.mark.parametrize("name", ["", "two words", "line\nbreak", "nul\0"])
async def test_a_name_is_one_printable_word(experts: ExpertRegistry, name: str) -> None:
    """It stands in URLs, headers and tables."""
    with pytest.raises(RegistryError, match="printable text without spaces"):
        await experts.register(expert(name))


async def test_a_removed_expert_is_gone(experts: ExpertRegistry, sql_expert: Expert) -> None:
    """And its name is free again."""
    await experts.register(sql_expert)
    await experts.remove("sql")

    assert await experts.list() == ()
    await experts.register(sql_expert)


async def test_every_change_bumps_the_revision_and_no_reading_does(
    experts: ExpertRegistry, sql_expert: Expert
) -> None:
    """Add, update, remove: three; a refused change: none."""
    assert await experts.revision() == 0
    await experts.register(sql_expert)
    await experts.update("sql", enabled=True)
    await experts.list()
    with pytest.raises(ExpertNotFound):
        await experts.remove("nobody")
    await experts.remove("sql")

    assert await experts.revision() == 3


async def test_another_database_sees_a_change_at_once(
    experts: ExpertRegistry, sql_expert: Expert, open_database: OpenDatabase
) -> None:
    """Replicas compare revisions: a bump must not hide behind a cached reading."""
    replica = ExpertRegistry(open_database())
    for revision in range(1, 4):
        assert await replica.revision() == revision - 1
        await experts.register(expert(f"e{revision}"))
        assert await replica.revision() == revision
        assert len(await replica.list()) == revision


async def test_parallel_updates_lose_nothing(
    experts: ExpertRegistry, sql_expert: Expert, open_database: OpenDatabase
) -> None:
    """Two replicas change different fields of one expert ten times each."""
    await experts.register(sql_expert)
    other = ExpertRegistry(open_database())

    await asyncio.gather(
        *(experts.update("sql", input_price=float(i)) for i in range(10)),
        *(other.update("sql", output_price=float(i)) for i in range(10)),
    )

    assert (await experts.get("sql")).version == 21
    assert await experts.revision() == 21


async def test_one_of_two_who_add_the_same_name_is_told(
    experts: ExpertRegistry, sql_expert: Expert, open_database: OpenDatabase
) -> None:
    """Never both, never a database's own error."""
    other = ExpertRegistry(open_database())

    results = await asyncio.gather(
        experts.register(sql_expert), other.register(sql_expert), return_exceptions=True
    )

    assert sorted(type(r).__name__ for r in results) == ["ExpertExists", "NoneType"]


async def test_a_source_is_seeded_once_ever(experts: ExpertRegistry) -> None:
    """An expert that a person removed stays removed; another source is another matter."""
    assert await experts.seed("embedded", [expert("a"), expert("b")])
    await experts.remove("a")

    assert not await experts.seed("embedded", [expert("a"), expert("b")])
    assert [e.name for e in await experts.list()] == ["b"]
    assert await experts.seed("elsewhere", [expert("a")])
    assert [e.name for e in await experts.list()] == ["a", "b"]


async def test_seeding_leaves_a_persons_expert_alone(
    experts: ExpertRegistry, sql_expert: Expert
) -> None:
    """Who was there first keeps the name."""
    await experts.register(sql_expert)

    assert await experts.seed("embedded", [expert("sql"), expert("b")])

    assert await experts.get("sql") == sql_expert
    assert [e.name for e in await experts.list()] == ["b", "sql"]


async def test_replicas_that_start_at_once_seed_once(
    experts: ExpertRegistry, open_database: OpenDatabase
) -> None:
    """Exactly one of them is told that it did."""
    replicas = [experts, *(ExpertRegistry(open_database()) for _ in range(3))]

    seeded = await asyncio.gather(*(r.seed("embedded", [expert("a")]) for r in replicas))

    assert sorted(seeded) == [False, False, False, True]
    assert await experts.revision() == 1


async def test_a_wrong_expert_spoils_the_whole_seed(experts: ExpertRegistry) -> None:
    """Nothing is added and the source is not marked, so that a mended one can come."""
    with pytest.raises(RegistryError):
        await experts.seed("embedded", [expert("a"), expert("b c")])

    assert await experts.list() == ()
    assert await experts.seed("embedded", [expert("a")])
