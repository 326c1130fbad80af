"""Old files and jobs go while the service runs; what is needed stays."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from collegium.registry.bulk.files import FileRecord
from collegium.web.batch.retention import Retention
from tests.web.bulk import ended, line, submitted
from tests.web.conftest import Web
from tests.web.test_files import is_gone, upload

NOW = datetime.now(UTC)


def retention(web: Web, days: float | None = None, most_bytes: int | None = None) -> Retention:
    parts = web.parts
    return Retention(
        parts.files, parts.file_store, parts.batches, parts.clock, days=days, most_bytes=most_bytes
    )


async def ids(web: Web) -> list[str]:
    """The files there are, newest first."""
    return [file["id"] for file in (await web.http.get("/v1/files")).json()["data"]]


async def test_files_and_jobs_go_by_age(web: Web) -> None:
    """With their bytes; younger ones stay."""
    job = await submitted(web, [line("a")])
    await ended(web, job)
    young = await ids(web)
    old = (await upload(web))["id"]
    record = await web.parts.files.get(old)
    await web.parts.files.put(
        FileRecord(old, record.filename, "batch", record.bytes, NOW - timedelta(days=8))
    )
    await retention(web, days=7).prune()
    assert await ids(web) == young
    assert await is_gone(web, old)
    assert (await web.http.get(f"/v1/batches/{job}")).status_code == 200
    await retention(web, days=1e-9).prune()
    assert await ids(web) == []
    assert (await web.http.get(f"/v1/batches/{job}")).status_code == 404


async def test_the_oldest_files_go_by_size(web: Web) -> None:
    """Until the others fit."""
    made = [(await upload(web, b"x" * 100))["id"] for _ in range(5)]
    await retention(web, most_bytes=250).prune()
    assert await ids(web) == made[:2:-1]


async def test_who_has_most_makes_room(web: Web) -> None:
    """However old the others' files are."""
    small = (await upload(web, b"x" * 100))["id"]
    for number in range(5):
        await web.parts.files.put(
            FileRecord(f"file-{number:024x}", "a", "batch", 100, datetime.now(UTC), owner="greedy")
        )
    await retention(web, most_bytes=350).prune()
    left = await ids(web)
    assert small in left
    assert len(left) == 3


async def test_without_limits_everything_stays(web: Web) -> None:
    """As by default."""
    made = (await upload(web))["id"]
    await retention(web).prune()
    assert await ids(web) == [made]
