"""What engines say of themselves."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy.exc import IntegrityError

from collegium.registry.engines import EngineRegistry, EngineReport

READY = EngineReport(
    name="embedded",
    base_url="http://127.0.0.1:8001/v1",
    model="smollm2",
    state="ready",
    pid=4711,
    detail="up for 3 s",
    updated_at=datetime(2025, 3, 1, 12, 30, 0, 123456, tzinfo=UTC),
)


async def test_a_report_is_read_back(engines: EngineRegistry) -> None:
    """Every field, microseconds too."""
    await engines.report(READY)

    assert await engines.get("embedded") == READY


async def test_an_engine_that_never_reported_is_none(engines: EngineRegistry) -> None:
    """Not an error: the engine may be about to start."""
    assert await engines.get("embedded") is None


async def test_a_later_report_takes_the_earlier_ones_place(engines: EngineRegistry) -> None:
    """Fields that became empty are empty."""
    stopped = EngineReport("embedded", "http://127.0.0.1:8002/v1", "smollm2", "stopped")
    await engines.report(READY)
    await engines.report(stopped)

    assert await engines.list() == (stopped,)
    assert stopped.pid is None


async def test_engines_are_listed_by_name(engines: EngineRegistry) -> None:
    """In one order on every database."""
    for name in ("b", "C", "a"):
        await engines.report(replace(READY, name=name))

    assert [report.name for report in await engines.list()] == ["C", "a", "b"]


async def test_a_report_is_stamped_with_an_aware_time(engines: EngineRegistry) -> None:
    """The default is now, and what is read back has a zone."""
    await engines.report(EngineReport("embedded", "", "smollm2", "starting"))

    report = await engines.get("embedded")

    assert report is not None
    assert report.updated_at.tzinfo is UTC
    assert datetime.now(UTC) - report.updated_at < timedelta(minutes=1)


async def test_a_time_of_another_zone_is_the_same_instant(engines: EngineRegistry) -> None:
    """It comes back in UTC."""
    kathmandu = timezone(timedelta(hours=5, minutes=45))
    await engines.report(replace(READY, updated_at=READY.updated_at.astimezone(kathmandu)))

    report = await engines.get("embedded")

    assert report == READY
    assert report.updated_at.utcoffset() == timedelta(0)


async def test_a_state_that_does_not_exist_is_refused(engines: EngineRegistry) -> None:
    """The database checks what the types promise."""
    with pytest.raises(IntegrityError):
        await engines.report(replace(READY, state="asleep"))  # type: ignore[arg-type]
