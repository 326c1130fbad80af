"""Versions of the router: at most one serves, and at most one is on trial."""

from __future__ import annotations

import pytest

from collegium.errors import UnknownRouterVersion
from collegium.registry.learning.router_versions import RouterVersion, RouterVersions
from collegium.registry.storage.database import Database


@pytest.fixture
async def versions(database: Database) -> RouterVersions:
    """Three candidates."""
    versions = RouterVersions(database)
    for name in ("rtr_1", "rtr_2", "rtr_3"):
        await versions.add(RouterVersion(name, "ada"), f"card {name}".encode(), b"\x00\xff")
    return versions


async def statuses(versions: RouterVersions) -> dict[str, str]:
    return {version.id: version.status for version in await versions.list()}


async def test_files_come_back_as_they_were(versions: RouterVersions) -> None:
    """Both, byte by byte; of an unknown version there are none."""
    assert await versions.files("rtr_2") == (b"card rtr_2", b"\x00\xff")
    for asked in (versions.files, versions.get):
        with pytest.raises(UnknownRouterVersion, match="no router has the version 'rtr_0'"):
            await asked("rtr_0")


async def test_a_new_trial_ends_the_one_before(versions: RouterVersions) -> None:
    """A shadow and a canary exclude each other."""
    await versions.become("rtr_1", "shadow")
    await versions.become("rtr_2", "canary", share=0.1, applications=["desk"], automatic=True)
    assert await statuses(versions) == {
        "rtr_1": "retired",
        "rtr_2": "canary",
        "rtr_3": "candidate",
    }
    canary = await versions.get("rtr_2")
    assert (canary.share, canary.applications, canary.automatic) == (0.1, ("desk",), True)
    assert not canary.served


async def test_a_trial_leaves_the_serving_version_alone(versions: RouterVersions) -> None:
    """Both are active."""
    await versions.become("rtr_1", "serving")
    await versions.become("rtr_2", "shadow")
    active = {version.id: version.status for version in await versions.list(active=True)}
    assert active == {"rtr_1": "serving", "rtr_2": "shadow"}


async def test_a_promotion_retires_the_serving_version_and_the_trial(
    versions: RouterVersions,
) -> None:
    """What it decided is remembered: it has served."""
    await versions.become("rtr_1", "serving")
    await versions.become("rtr_2", "canary", share=0.5)
    await versions.become("rtr_3", "serving")
    assert await statuses(versions) == {
        "rtr_1": "retired",
        "rtr_2": "retired",
        "rtr_3": "serving",
    }
    retired = [await versions.get(name) for name in ("rtr_1", "rtr_2")]
    assert [(version.served, version.share) for version in retired] == [(True, 0.0), (False, 0.0)]


async def test_a_rollback_retires_no_other_version(versions: RouterVersions) -> None:
    """Its reason is kept."""
    await versions.become("rtr_1", "serving")
    await versions.become("rtr_2", "canary", share=0.5)
    await versions.become("rtr_2", "rolled_back", detail="more errors")
    assert (await statuses(versions))["rtr_1"] == "serving"
    assert (await versions.get("rtr_2")).detail == "more errors"


async def test_an_unknown_version_changes_nothing(versions: RouterVersions) -> None:
    """The serving version stays, although the new one would have replaced it."""
    await versions.become("rtr_1", "serving")
    with pytest.raises(UnknownRouterVersion):
        await versions.become("rtr_0", "serving")
    assert (await statuses(versions))["rtr_1"] == "serving"


async def test_each_change_moves_the_revision(versions: RouterVersions) -> None:
    """Replicas read the versions again when it has moved."""
    before = await versions.revision()
    await versions.become("rtr_1", "shadow")
    after = await versions.revision()
    assert before is not None
    assert after is not None
    assert after > before
