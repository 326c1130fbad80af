"""Applications are kept: counts add up, what people decide stays."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from collegium.errors import ApplicationNotFound
from collegium.registry.application import Application
from collegium.registry.applications import ApplicationRegistry
from collegium.registry.decisions.log import DecisionLog, DecisionRecord
from collegium.registry.storage.database import Database

NOW = datetime(2026, 5, 1, tzinfo=UTC)
DESK = Application(
    "app-1",
    name="Desk",
    tenant="a",
    text="You are the desk",
    signature=np.array([1, 2**63, 2**64 - 1], dtype=np.uint64),
    seen=3,
    variants=2,
    first_seen=NOW,
    last_seen=NOW,
    policy={"tradeoff": 5.0},
)


@pytest.fixture
def applications(database: Database) -> ApplicationRegistry:
    """The registry of applications."""
    return ApplicationRegistry(database)


async def test_an_application_is_read_back_whole(applications: ApplicationRegistry) -> None:
    """Also numbers of 64 bits."""
    await applications.keep([DESK])
    found = await applications.get("app-1")
    np.testing.assert_array_equal(found.signature, DESK.signature)
    assert replace(found, signature=DESK.signature).__dict__ == DESK.__dict__


async def test_counts_add_up_and_decisions_of_people_stay(
    applications: ApplicationRegistry,
) -> None:
    """What is noticed in passing is never written over them."""
    await applications.keep([DESK])
    await applications.change("app-1", name="Orders", policy={"tradeoff": 1.0}, pinned=True)
    later = replace(
        DESK,
        name="",
        policy={},
        seen=4,
        variants=1,
        merged_into="app-0",
        last_seen=NOW + timedelta(hours=1),
    )
    await applications.keep([later])
    found = await applications.get("app-1")
    assert (found.name, found.policy, found.merged_into) == ("Orders", {"tradeoff": 1.0}, None)
    assert (found.seen, found.variants, found.first_seen) == (7, 2, NOW)
    assert found.last_seen == NOW + timedelta(hours=1)


async def test_a_merge_by_likeness_is_kept_where_nobody_decided(
    applications: ApplicationRegistry,
) -> None:
    """And a replica that does not know it yet takes nothing back."""
    await applications.keep([DESK])
    await applications.keep([replace(DESK, merged_into="app-0")])
    await applications.keep([DESK])
    assert (await applications.get("app-1")).merged_into == "app-0"


async def test_replicas_read_only_what_somebody_changed(applications: ApplicationRegistry) -> None:
    """Counts alone are no news."""
    await applications.keep([DESK, replace(DESK, key="app-2")])
    between = datetime.now(UTC)
    await applications.keep([DESK])
    await applications.change("app-2", name="Two")
    assert [a.key for a in await applications.list(since=between)] == ["app-2"]
    assert len(await applications.list(limit=1)) == 1


async def test_thousands_are_kept_and_forgotten(applications: ApplicationRegistry) -> None:
    """More than fit into one statement."""
    many = [replace(DESK, key=f"app-{i}", seen=1) for i in range(1200)]
    await applications.keep(many)
    await applications.keep(many[:1])  # by another replica: it is not so rare
    await applications.remove([a.key for a in many[:1100]])
    left = await applications.list(signatures=False)
    assert len(left) == 101
    assert {application.signature.size for application in left} == {0}


async def test_nobody_there_is_told_with_who_is_near(applications: ApplicationRegistry) -> None:
    """A wrong letter is soon made."""
    await applications.keep([replace(DESK, key="support-chat")])
    with pytest.raises(ApplicationNotFound, match="did you mean support-chat"):
        await applications.get("suport-chat")
    with pytest.raises(ApplicationNotFound):
        await applications.change("none", name="x")


async def test_decisions_keep_their_application(log: DecisionLog) -> None:
    """None where it was not told."""
    record = DecisionRecord("dec_1", NOW, "auto", "sql", "quality", 0.9, "", application="desk")
    await log.record(record)
    await log.record(replace(record, id="dec_2", application=None))
    assert (await log.get("dec_1")).decision.application == "desk"
    assert (await log.get("dec_2")).decision.application is None
