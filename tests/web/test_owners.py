"""Files and bulk jobs belong to the caller who made them: for other callers they don't exist."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.web.access import bearer
from tests.web.conftest import Serve, Web, until

ADMIN, SHOP, DESK = "the-administrators-key", "the-shops-key", "the-desks-key"
KEYS: dict[str, Any] = {"api_key": ADMIN, "caller_keys": {"shop": SHOP, "desk": DESK}}
CHAT = "/v1/chat/completions"
ENDED = ("completed", "failed", "expired", "cancelled")


@pytest.fixture
async def web(serve: Serve) -> AsyncIterator[Web]:
    """A service with an operator and two callers."""
    async with serve(**KEYS) as web:
        yield web


async def uploaded(web: Web, key: str, **body: Any) -> str:
    """The id of a caller's file with one line."""
    request = {"model": "sql", "messages": [{"role": "user", "content": "sql 1"}], **body}
    line = {"custom_id": "a", "method": "POST", "url": CHAT, "body": request}
    answer = await web.http.post(
        "/v1/files",
        files={"file": ("in.jsonl", json.dumps(line).encode())},
        data={"purpose": "batch"},
        headers=bearer(key),
    )
    return str(answer.json()["id"])


async def begun(web: Web, key: str, source: str) -> httpx.Response:
    """A job of a file."""
    body = {"input_file_id": source, "endpoint": CHAT}
    return await web.http.post("/v1/batches", json=body, headers=bearer(key))


async def done(web: Web, key: str, source: str) -> Any:
    """A caller's job when it has ended."""
    job = f"/v1/batches/{(await begun(web, key, source)).json()['id']}"

    async def has_ended() -> bool:
        return (await web.http.get(job, headers=bearer(key))).json()["status"] in ENDED

    await until(has_ended)
    return (await web.http.get(job, headers=bearer(key))).json()


async def listed(web: Web, key: str, path: str) -> list[str]:
    """The ids that a caller finds in a list."""
    return [row["id"] for row in (await web.http.get(path, headers=bearer(key))).json()["data"]]


async def test_another_callers_file_does_not_exist(web: Web) -> None:
    """It can't be listed, seen, read, deleted, used, or be where a page begins."""
    file = await uploaded(web, SHOP)
    for method, path in [
        ("GET", f"/v1/files/{file}"),
        ("GET", f"/v1/files/{file}/content"),
        ("DELETE", f"/v1/files/{file}"),
        ("GET", f"/v1/files?after={file}"),
    ]:
        answer = await web.http.request(method, path, headers=bearer(DESK))
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "file_not_found"), path
    assert (await begun(web, DESK, file)).status_code == 404
    assert await listed(web, DESK, "/v1/files") == []
    assert await listed(web, SHOP, "/v1/files") == [file]
    assert (await web.http.get(f"/v1/files/{file}/content", headers=bearer(SHOP))).is_success


async def test_another_callers_job_does_not_exist(web: Web) -> None:
    """Nor do the files of its results, which are its owner's."""
    job = await done(web, SHOP, await uploaded(web, SHOP))
    for method, path in [
        ("GET", f"/v1/batches/{job['id']}"),
        ("POST", f"/v1/batches/{job['id']}/cancel"),
        ("GET", f"/v1/batches?after={job['id']}"),
        ("GET", f"/v1/files/{job['output_file_id']}/content"),
    ]:
        answer = await web.http.request(method, path, headers=bearer(DESK))
        assert answer.status_code == 404, path
    assert await listed(web, DESK, "/v1/batches") == []
    assert await listed(web, SHOP, "/v1/batches") == [job["id"]]
    results = f"/v1/files/{job['output_file_id']}/content"
    assert (await web.http.get(results, headers=bearer(SHOP))).is_success


async def test_the_operator_sees_and_ends_everything(web: Web) -> None:
    """Whoever made it."""
    files = [await uploaded(web, key) for key in (SHOP, DESK, ADMIN)]
    assert set(await listed(web, ADMIN, "/v1/files")) == set(files)
    job = await done(web, SHOP, files[0])
    assert await listed(web, ADMIN, "/v1/batches") == [job["id"]]
    assert (await web.http.get(f"/v1/files/{files[1]}", headers=bearer(ADMIN))).is_success
    assert (await web.http.delete(f"/v1/files/{files[1]}", headers=bearer(ADMIN))).is_success


async def test_lines_of_a_job_are_asked_as_its_owner(web: Web) -> None:
    """Its applications are that caller's, as if it had asked each line itself."""
    await done(web, SHOP, await uploaded(web, SHOP, metadata={"application": "nightly"}))
    found = (await web.http.get("/v1/applications", headers=bearer(ADMIN))).json()["data"]
    assert [(a["key"], a["tenant"]) for a in found] == [("shop:nightly", "shop")]


async def test_callers_don_t_wait_for_each_others_jobs(web: Web) -> None:
    """While the shop's waits for its expert, the desk's is done; the shop's second one waits."""
    script = web.experts["lists"]
    script.waits = True
    slow = await uploaded(web, SHOP, model="lists")
    first = (await begun(web, SHOP, slow)).json()["id"]
    second = (await begun(web, SHOP, await uploaded(web, SHOP))).json()["id"]
    await until(lambda: script.asked)
    assert (await done(web, DESK, await uploaded(web, DESK)))["status"] == "completed"
    for job, status in ((first, "in_progress"), (second, "validating")):
        found = await web.http.get(f"/v1/batches/{job}", headers=bearer(SHOP))
        assert found.json()["status"] == status
    script.go.set()


async def test_a_job_of_an_unknown_file_is_refused_by_the_field_as_it_was_sent(web: Web) -> None:
    """The path of a file has another name for it."""
    refused = (await begun(web, SHOP, "file-nobody")).json()["error"]
    assert (refused["code"], refused["param"]) == ("file_not_found", "input_file_id")
    other = await web.http.get("/v1/files/file-nobody", headers=bearer(SHOP))
    assert other.json()["error"]["param"] == "file_id"


async def test_the_operator_lists_what_one_owner_has(web: Web) -> None:
    """To delete it. A caller names nobody else."""
    files = {key: await uploaded(web, key) for key in (SHOP, DESK)}
    jobs = {key: (await begun(web, key, file)).json()["id"] for key, file in files.items()}
    for path, of in (("/v1/files", files), ("/v1/batches", jobs)):
        assert await listed(web, ADMIN, f"{path}?owner=shop&limit=1") == [of[SHOP]]
        assert {*await listed(web, ADMIN, path)} >= {*of.values()}
        assert await listed(web, SHOP, f"{path}?owner=shop") == [of[SHOP]]
        refused = await web.http.get(f"{path}?owner=shop", headers=bearer(DESK))
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "forbidden")
