"""What a key or a team may store: counted from what is there, and free again when it is deleted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from collegium.registry.tables import FileChunkRow
from tests.web.access import bearer
from tests.web.conftest import Serve, Web
from tests.web.test_owners import ADMIN, DESK, KEYS, SHOP, begun, uploaded

LINE = 300
"""Bytes of a file here."""


@pytest.fixture
async def web(serve: Serve) -> AsyncIterator[Web]:
    """A service that keeps responses, with an operator and two callers."""
    async with serve(record="full", **KEYS) as web:
        yield web


async def limit(web: Web, amount: int, **fields: Any) -> httpx.Response:
    """Set the shop's limit."""
    body = {"scope": "key", "name": "shop", "metric": "stored_bytes", "amount": amount}
    return await web.http.put("/v1/budgets", json=body | fields, headers=bearer(ADMIN))


async def upload(web: Web, size: int = LINE, key: str = SHOP) -> httpx.Response:
    """A file of so many bytes."""
    files = {"file": ("in.jsonl", b"x" * size)}
    return await web.http.post(
        "/v1/files", files=files, data={"purpose": "batch"}, headers=bearer(key)
    )


async def respond(web: Web, key: str = SHOP, **fields: Any) -> httpx.Response:
    """A response that is kept unless it says otherwise."""
    body = {"model": "sql", "input": "sql 1", **fields}
    answer = await web.http.post("/v1/responses", json=body, headers=bearer(key))
    await web.parts.background.finish()
    return answer


async def used(web: Web) -> int:
    """What the shop sees."""
    rows = (await web.http.get("/v1/budgets", headers=bearer(SHOP))).json()["data"]
    return int(next(row["used"] for row in rows if row["metric"] == "stored_bytes"))


async def test_files_are_refused_when_they_do_not_fit(web: Web) -> None:
    """The error names the limit and what to do; others store; what is deleted is free at once."""
    assert (await limit(web, 2 * LINE)).json()["used"] == 0
    first = (await upload(web)).json()["id"]
    assert await used(web) == LINE
    refused = await upload(web, LINE + 1)
    error = refused.json()["error"]
    assert (refused.status_code, error["code"]) == (402, "insufficient_quota")
    assert "The key 'shop' may store 600 bytes (stored_bytes)" in error["message"]
    assert "DELETE /v1/files/{id}" in error["message"]
    assert await used(web) == LINE
    assert (await upload(web, LINE + 1, DESK)).status_code == 200
    assert (await upload(web)).status_code == 200
    assert (await upload(web, 1)).status_code == 402
    await web.http.delete(f"/v1/files/{first}", headers=bearer(SHOP))
    assert await used(web) == LINE
    assert (await upload(web)).status_code == 200


async def test_uploads_at_the_same_time_never_go_beyond(web: Web) -> None:
    """Nor does a refused one leave bytes in the store."""
    await limit(web, 3 * LINE)
    answers = await asyncio.gather(*(upload(web) for _ in range(12)))
    stored = [each.json()["id"] for each in answers if each.status_code == 200]
    assert {each.status_code for each in answers} == {200, 402}
    assert 0 < len(stored) <= 3
    assert await used(web) == len(stored) * LINE
    async with web.parts.database.session() as session:
        kept = await session.scalars(select(FileChunkRow.file_id).distinct())
    assert set(kept) == set(stored)


async def test_responses_count_and_can_be_left_unstored(web: Web) -> None:
    """One that is not kept is answered all the same."""
    await limit(web, 10)
    first = await respond(web)
    assert first.status_code == 200
    size = await used(web)
    assert size > 10
    asked = len(web.experts["sql"].asked)
    refused = await respond(web)
    assert refused.status_code == 402
    assert "`store: false`" in refused.json()["error"]["message"]
    assert len(web.experts["sql"].asked) == asked
    assert (await respond(web, store=False)).status_code == 200
    gone = await web.http.delete(f"/v1/responses/{first.json()['id']}", headers=bearer(SHOP))
    assert gone.status_code == 200
    assert await used(web) == 0
    assert (await respond(web)).status_code == 200


async def test_bulk_jobs_are_refused_where_nothing_is_left(web: Web) -> None:
    """Their results would be stored."""
    source = await uploaded(web, SHOP)
    await limit(web, await _size(web, source))
    assert (await begun(web, SHOP, source)).status_code == 402
    await limit(web, 10**6)
    assert (await begun(web, SHOP, source)).status_code == 200


async def _size(web: Web, file_id: str) -> int:
    found = await web.http.get(f"/v1/files/{file_id}", headers=bearer(SHOP))
    return int(found.json()["bytes"])


async def test_a_teams_keys_count_together(web: Web) -> None:
    """Each also has the limit of `key:*`."""
    await web.http.post("/v1/teams", json={"name": "till"}, headers=bearer(ADMIN))
    secrets = []
    for name in ("one", "two"):
        made = {"name": name, "team": "till"}
        created = await web.http.post("/v1/keys", json=made, headers=bearer(ADMIN))
        secrets.append(created.json()["key"])
    await limit(web, 3 * LINE, scope="team", name="till")
    await limit(web, 2 * LINE, name="*")
    assert (await upload(web, 2 * LINE, secrets[0])).status_code == 200
    own = await upload(web, LINE, secrets[0])
    assert "The key 'one'" in own.json()["error"]["message"]
    assert (await upload(web, LINE, secrets[1])).status_code == 200
    shared = await upload(web, LINE, secrets[1])
    assert "The team 'till'" in shared.json()["error"]["message"]


@pytest.mark.parametrize("fields", [{"scope": "application"}, {"window": "day"}])
async def test_what_can_not_be_limited_so_is_refused(web: Web, fields: Any) -> None:
    """Applications store nothing, and storage has no window."""
    assert (await limit(web, 10, **fields)).status_code == 400
