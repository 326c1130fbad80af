"""Keys and teams: made, rotated, revoked, and noticed by other processes."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from collegium.errors import (
    KeyConflict,
    RegistryError,
    TeamConflict,
    TeamNotFound,
)
from collegium.registry.key import Team, both
from collegium.registry.keys import KeyRegistry, hashed
from collegium.registry.storage.database import Database
from tests.registry.conftest import OpenDatabase


@pytest.fixture
def keys(database: Database) -> KeyRegistry:
    """The registry of keys."""
    return KeyRegistry(database)


async def test_a_key_is_read_back_as_it_was_made(keys: KeyRegistry) -> None:
    """Its secret is not: only a hash, the first eight characters and the last four are kept."""
    await keys.create_team(Team("search", allowed_experts=frozenset({"sql"})))
    ends = datetime.now(UTC) + timedelta(days=90)
    made, secret = await keys.create(
        "anna",
        role="team-lead",
        team="search",
        description="schönes Team",
        allowed_experts=frozenset({"sql", "general"}),
        allowed_applications=frozenset(),
        expires_at=ends,
        created_by="api_key",
    )
    assert await keys.get("anna") == await keys.get(made.id) == made
    assert secret.text.startswith("col-")
    assert len(secret.text) == 47
    assert made.hash == hashed(secret.text)
    assert (made.prefix, made.last_four) == (secret.text[:8], secret.text[-4:])
    assert (made.allowed_experts, made.allowed_applications) == (
        frozenset({"sql", "general"}),
        frozenset(),
    )
    (found,), (team,) = await keys.changed(), await keys.teams()
    assert (found, team.allowed_experts, team.allowed_applications) == (
        made,
        frozenset({"sql"}),
        None,
    )


async def test_no_column_holds_a_secret(keys: KeyRegistry, database: Database) -> None:
    """Whatever else is kept of it can't be sent as a key."""
    _, secret = await keys.create("anna")
    async with database.session() as session:
        rows = (await session.execute(text("SELECT * FROM api_keys"))).all()
    assert secret.text[4:] not in str(rows)
    assert secret.text[8:-4] not in str(rows)


async def test_every_change_is_noticed(keys: KeyRegistry, open_database: OpenDatabase) -> None:
    """By another process, which reads one number."""
    other = KeyRegistry(open_database())
    seen = [await other.revision()]
    key, _ = await keys.create("anna")
    seen.append(await other.revision())
    await keys.change(key.id, role="read-only")
    seen.append(await other.revision())
    await keys.rotate("anna", timedelta(hours=1))
    seen.append(await other.revision())
    await keys.revoke("anna")
    seen.append(await other.revision())
    await keys.create_team(Team("a"))
    seen.append(await other.revision())
    await keys.change_team("a", allowed_experts=frozenset({"sql"}))
    seen.append(await other.revision())
    await keys.remove_team("a")
    seen.append(await other.revision())
    assert seen == sorted(set(seen))
    assert len(seen) == 8


async def test_a_name_is_one_keys(keys: KeyRegistry) -> None:
    """Until that is revoked; of many at once one gets it."""
    made = await asyncio.gather(*(keys.create("anna") for _ in range(5)), return_exceptions=True)
    assert sum(isinstance(each, KeyConflict) for each in made) == 4
    first = await keys.revoke("anna")
    assert (await keys.get("anna")).id == first.id
    second, _ = await keys.create("anna")
    assert (await keys.get("anna")).id == second.id != first.id
    assert (await keys.get(first.id)).state(datetime.now(UTC)) == "revoked"


async def test_a_name_stays_in_its_team(keys: KeyRegistry) -> None:
    """Or another team would see the rows that the key before it made."""
    for team in ("a", "b"):
        await keys.create_team(Team(team))
    await keys.create("anna", team="a")
    await keys.revoke("anna")
    others: tuple[str | None, ...] = ("b", None)
    for other in others:
        with pytest.raises(KeyConflict, match="belonged to a key of the team 'a'"):
            await keys.create("anna", team=other)
    assert (await keys.create("anna", team="a"))[0].team == "a"


async def test_rotation_keeps_the_secret_before_for_a_while(keys: KeyRegistry) -> None:
    """And not the one before that."""
    made, first = await keys.create("anna")
    rotated, second = await keys.rotate("anna", timedelta(hours=24))
    assert rotated.id == made.id
    assert (rotated.hash, rotated.former_hash) == (hashed(second.text), hashed(first.text))
    assert rotated.former_until is not None
    assert rotated.former_until - datetime.now(UTC) > timedelta(hours=23)
    again, third = await keys.rotate("anna", timedelta())
    assert (again.hash, again.former_hash) == (hashed(third.text), hashed(second.text))
    assert await keys.identified(first.text) is None
    for secret in (second, third):
        found = await keys.identified(secret.text)
        assert found is not None
        assert found.name == "anna"


async def test_what_has_ended_does_not_come_back(keys: KeyRegistry) -> None:
    """A revoked key is not changed; one that expired gets an end first."""
    await keys.create("anna", expires_at=datetime.now(UTC) + timedelta(milliseconds=1))
    await asyncio.sleep(0.01)
    with pytest.raises(KeyConflict, match="has expired"):
        await keys.rotate("anna", timedelta())
    await keys.change("anna", expires_at=None)
    await keys.rotate("anna", timedelta())
    gone = (await keys.revoke("anna")).id
    for refused in (
        keys.rotate(gone, timedelta()),
        keys.revoke(gone),
        keys.change(gone, role="operator"),
    ):
        with pytest.raises(KeyConflict, match="was revoked"):
            await refused


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": "a b"}, "letters, digits"),
        ({"name": ""}, "letters, digits"),
        ({"name": "a:b"}, "letters, digits"),
        ({"name": "x" * 65}, "1 to 64"),
        ({"name": "key_1"}, "must not begin with 'key_'"),
        ({"name": "a", "role": "team-lead"}, "needs a team"),
        ({"name": "a", "description": "x" * 501}, "at most 500"),
        ({"name": "a", "allowed_experts": frozenset(map(str, range(1001)))}, "at most 1000"),
    ],
)
async def test_what_makes_no_sense_is_refused(
    keys: KeyRegistry, fields: dict[str, object], words: str
) -> None:
    """In words that say what to write."""
    with pytest.raises(RegistryError, match=words):
        await keys.create(**fields)  # type: ignore[arg-type]
    assert await keys.changed() == ()


async def test_an_operator_is_of_no_team(keys: KeyRegistry) -> None:
    """Nor becomes one in it, nor does a team's last lead leave it."""
    await keys.create_team(Team("a"))
    with pytest.raises(RegistryError, match="can't have a team"):
        await keys.create("anna", role="operator", team="a")
    await keys.create("anna", role="team-lead", team="a")
    with pytest.raises(RegistryError, match="can't have a team"):
        await keys.change("anna", role="operator")


async def test_teams(keys: KeyRegistry) -> None:
    """One of a name; kept as long as rows may be theirs."""
    with pytest.raises(TeamNotFound):
        await keys.create("anna", team="search")
    await keys.create_team(Team("search"))
    with pytest.raises(TeamConflict, match="already exists"):
        await keys.create_team(Team("search"))
    changed = await keys.change_team("search", description="new", allowed_experts=frozenset())
    assert (await keys.team("search")) == changed
    await keys.create("anna", team="search")
    await keys.revoke("anna")
    with pytest.raises(TeamConflict, match="has or had keys"):
        await keys.remove_team("search")
    with pytest.raises(TeamNotFound):
        await keys.remove_team("nobody")


def test_both_limits_hold() -> None:
    """None allows all, and an empty set nobody."""
    a, ab = frozenset("a"), frozenset("ab")
    assert both(None, None) is None
    assert both(None, a) == both(ab, a) == both(a, None) == a
    assert both(a, frozenset("b")) == frozenset()


async def test_what_changed_alone_is_read_again(keys: KeyRegistry) -> None:
    """Of many keys, those after a revision."""
    for name in ("anna", "ben", "cleo"):
        await keys.create(name)
    before = await keys.revision()
    assert await keys.changed(before) == ()
    await keys.revoke("ben")
    await keys.rotate("cleo", timedelta())
    assert {key.name for key in await keys.changed(before)} == {"ben", "cleo"}


async def test_a_list_comes_in_pages(keys: KeyRegistry) -> None:
    """Oldest first, by state, team and scope."""
    await keys.create_team(Team("a"))
    soon = datetime.now(UTC) + timedelta(milliseconds=1)
    for name, fields in (("1", {}), ("2", {"team": "a"}), ("3", {"expires_at": soon}), ("4", {})):
        await keys.create(name, **fields)
    await keys.revoke("4")
    await asyncio.sleep(0.01)
    first = await keys.list(limit=2)
    assert ([key.name for key in first.items], first.has_more) == (["1", "2"], True)
    rest = await keys.list(limit=2, after=first.items[-1].id)
    assert ([key.name for key in rest.items], rest.has_more) == (["3", "4"], False)
    for found, expected in (
        (await keys.list(state="active"), ["1", "2"]),
        (await keys.list(state="expired"), ["3"]),
        (await keys.list(state="revoked"), ["4"]),
        (await keys.list(team="a"), ["2"]),
        (await keys.list(scope=frozenset({"1", "4"})), ["1", "4"]),
        (await keys.list(scope=frozenset()), []),
    ):
        assert [key.name for key in found.items] == expected
