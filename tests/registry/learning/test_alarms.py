"""Alarms: one open alarm per problem."""

from __future__ import annotations

import asyncio

import pytest

from collegium.errors import UnknownAlarm
from collegium.registry.learning.alarms import Alarm, AlarmRegistry
from collegium.registry.storage.database import Database


@pytest.fixture
def alarms(database: Database) -> AlarmRegistry:
    """The alarms."""
    return AlarmRegistry(database)


async def test_the_same_problem_raises_one_alarm(alarms: AlarmRegistry) -> None:
    """Also if several replicas notice it at once; another expert's is another problem."""
    same = [Alarm("drift", "worse", expert="sql") for _ in range(3)]
    assert sorted(await asyncio.gather(*map(alarms.raise_, same))) == [False, False, True]
    assert await alarms.raise_(Alarm("drift", "worse", expert="lists"))
    assert await alarms.raise_(Alarm("canary", "worse", router="rtr_1"))
    assert len(await alarms.list(open_only=True)) == 3


async def test_a_closed_alarm_can_be_raised_again(alarms: AlarmRegistry) -> None:
    """It stays in the list, with the reason why it was closed."""
    first = Alarm("drift", "worse", expert="sql", lowered=0.2, evidence={"marks": 40})
    assert await alarms.raise_(first)
    closed = await alarms.close(first.id, "replaced the model")
    assert (closed.closed_for, closed.lowered, closed.evidence) == (
        "replaced the model",
        0.2,
        {"marks": 40},
    )
    assert await alarms.list(open_only=True) == ()
    assert await alarms.raise_(Alarm("drift", "worse again", expert="sql"))
    assert [alarm.detail for alarm in await alarms.list()] == ["worse again", "worse"]


async def test_closing_twice_keeps_the_first_reason(alarms: AlarmRegistry) -> None:
    """An unknown alarm can't be closed."""
    alarm = Alarm("drift", "worse", expert="sql")
    await alarms.raise_(alarm)
    first = await alarms.close(alarm.id, "first")
    assert await alarms.close(alarm.id, "second") == first
    with pytest.raises(UnknownAlarm, match="no alarm has the id 'alm_0'"):
        await alarms.close("alm_0", "")


async def test_each_change_moves_the_revision(alarms: AlarmRegistry) -> None:
    """Replicas follow the alarms by it."""
    assert await alarms.revision() is None
    alarm = Alarm("drift", "worse", expert="sql")
    await alarms.raise_(alarm)
    raised = await alarms.revision()
    await alarms.close(alarm.id, "")
    closed = await alarms.revision()
    assert raised is not None
    assert closed is not None
    assert closed > raised
