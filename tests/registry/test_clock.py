"""Time that somebody sets makes nothing end before its time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from collegium.registry.bulk.files import FileRecord, FileRegistry
from collegium.registry.clock import TOLERANCE, SteadyClock
from collegium.registry.storage.database import Database

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)


class Times:
    """Two clocks that a test sets."""

    def __init__(self) -> None:
        self.wall, self.passed_s = NOON, 50.0

    def steady(self) -> SteadyClock:
        return SteadyClock(lambda: self.wall, lambda: self.passed_s)


def test_a_clock_that_goes_is_the_time() -> None:
    """Small corrections are."""
    times = Times()
    clock = times.steady()
    times.wall, times.passed_s = NOON + timedelta(seconds=61), 110.0
    assert clock.now() == NOON + timedelta(seconds=61)


def test_a_jump_is_no_time_that_has_passed() -> None:
    """Forward and back."""
    times = Times()
    clock = times.steady()
    times.passed_s += 60
    for jump in (timedelta(days=365), -timedelta(days=365)):
        times.wall = NOON + jump
        assert abs(clock.now() - (NOON + timedelta(seconds=60))) == TOLERANCE


async def test_no_file_is_deleted_for_a_clock_that_was_set(database: Database) -> None:
    """It is there until its time has passed."""
    times = Times()
    files = FileRegistry(database, times.steady())
    await files.put(FileRecord("file-1", "a", "batch", 1, NOON, NOON + timedelta(hours=1)))
    times.wall += timedelta(days=30)
    assert await files.expired() == ()
    assert (await files.get("file-1")).id == "file-1"
    times.passed_s += 3600
    assert [record.id for record in await files.expired()] == ["file-1"]
