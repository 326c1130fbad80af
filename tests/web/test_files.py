"""Files: uploaded, Listed, read and deleted, as OpenAI's SDK does it."""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any

import httpx
import pytest

from collegium.errors import UnknownFile
from collegium.registry.bulk.files import FileRecord
from tests.web.conftest import Serve, Web, on_shared, until

DATA = b'{"custom_id": "a"}\n'
BATCH = {"purpose": "batch"}


async def upload(web: Web, data: bytes = DATA, name: str = "in.jsonl", **form: str) -> Any:
    """Upload a file; return what is known of it."""
    files = {"file": (name, data)}
    answer = await web.http.post("/v1/files", files=files, data={**BATCH, **form})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def has_content(web: Web, file_id: str) -> bool:
    """Whether the store has a file's bytes."""
    with suppress(UnknownFile):
        return [chunk async for chunk in web.parts.file_store.chunks(file_id)] != []
    return False


async def is_gone(web: Web, file_id: str) -> bool:
    """Whether the store has none of a file's bytes."""
    return not await has_content(web, file_id)


def code(answer: httpx.Response) -> tuple[int, str]:
    """The status and the error's code."""
    return answer.status_code, answer.json()["error"]["code"]


async def test_a_file_comes_back_as_it_went(web: Web) -> None:
    """Its bytes, and what is known of it."""
    made = await upload(web)
    assert made == {
        "id": made["id"],
        "object": "file",
        "bytes": len(DATA),
        "created_at": pytest.approx(time.time(), abs=60),
        "expires_at": None,
        "filename": "in.jsonl",
        "purpose": "batch",
        "status": "processed",
    }
    assert (await web.http.get(f"/v1/files/{made['id']}")).json() == made
    content = await web.http.get(f"/v1/files/{made['id']}/content")
    assert (content.content, content.headers["content-length"]) == (DATA, str(len(DATA)))


async def test_an_empty_file_comes_back_empty(web: Web) -> None:
    """Whoever wants to keep one."""
    made = await upload(web, b"")
    content = await web.http.get(f"/v1/files/{made['id']}/content")
    assert (content.status_code, content.content) == (200, b"")


async def test_files_are_listed_in_pages(web: Web) -> None:
    """Newest first, or oldest, from a cursor on; a name is never a path."""
    made = [(await upload(web, name=f"../../etc/{n}.jsonl"))["id"] for n in range(3)]
    page = (await web.http.get("/v1/files", params={"limit": 2, "purpose": "batch"})).json()
    assert [file["id"] for file in page["data"]] == made[:0:-1]
    assert (page["first_id"], page["last_id"], page["has_more"]) == (made[2], made[1], True)
    rest = (await web.http.get("/v1/files", params={"after": page["last_id"]})).json()
    assert ([file["id"] for file in rest["data"]], rest["has_more"]) == (made[:1], False)
    oldest = (await web.http.get("/v1/files", params={"order": "asc"})).json()
    assert [file["id"] for file in oldest["data"]] == made
    other = (await web.http.get("/v1/files", params={"purpose": "batch_output"})).json()
    assert (other["data"], other["first_id"], other["has_more"]) == ([], None, False)


@on_shared
@pytest.mark.parametrize(
    ("params", "words"),
    [({"limit": 0}, "limit"), ({"limit": "many"}, "limit"), ({"order": "random"}, "order")],
)
async def test_a_page_that_makes_no_sense_is_refused(
    shared: Web, params: dict[str, Any], words: str
) -> None:
    """With the parameter."""
    answer = await shared.http.get("/v1/files", params=params)
    assert code(answer) == (400, "invalid_request")
    assert answer.json()["error"]["param"] == words


@on_shared
async def test_a_page_after_nobody_knows_what_is_refused(shared: Web) -> None:
    """The cursor has to be a file's id."""
    answer = await shared.http.get("/v1/files", params={"after": "file-0"})
    assert code(answer) == (404, "file_not_found")


async def test_a_deleted_file_is_gone_with_its_bytes(web: Web) -> None:
    """And so it is with ids that never were."""
    made = (await upload(web))["id"]
    deleted = (await web.http.delete(f"/v1/files/{made}")).json()
    assert deleted == {"id": made, "object": "file", "deleted": True}
    assert not await has_content(web, made)
    for gone in (made, "..%2Fcollegium.sqlite3", "file-%2e%2e"):
        for path in (gone, f"{gone}/content"):
            assert (await web.http.get(f"/v1/files/{path}")).status_code == 404
        assert (await web.http.delete(f"/v1/files/{gone}")).status_code == 404


async def test_bytes_that_were_deleted_are_said_to_be(web: Web) -> None:
    """Somebody may delete a file between two looks at it."""
    made = (await upload(web))["id"]
    await web.parts.file_store.remove(made)
    answer = await web.http.get(f"/v1/files/{made}/content")
    assert code(answer) == (404, "file_not_found")
    assert "was deleted" in answer.json()["error"]["message"]


@on_shared
@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"files": {"file": ("x", b"1")}, "data": {"purpose": "fine-tune"}}, "purpose"),
        ({"files": {"file": ("x", b"1")}}, "purpose"),
        ({"files": {"other": ("x", b"1")}, "data": BATCH}, "file"),
        ({"files": {"x": ("x", b"1")}, "data": {**BATCH, "file": "text"}}, "file"),
        ({"json": {}}, "multipart/form-data"),
        ({"content": b"", "headers": {"content-type": "multipart/form-data"}}, "can't be read"),
        (
            {"content": b"x", "headers": {"content-type": "multipart/form-data; boundary=y"}},
            "can't be read",
        ),
    ],
)
async def test_uploads_that_make_no_sense_are_refused(
    shared: Web, request_: dict[str, Any], words: str
) -> None:
    """Wrong purpose, no file, no form."""
    answer = await shared.http.post("/v1/files", **request_)
    assert code(answer) == (400, "invalid_request")
    assert words in f"{answer.json()['error']['param']}: {answer.json()['error']['message']}"


async def test_a_file_may_be_so_large_only(serve: Serve) -> None:
    """`max_file_mib`, whether it says its length or not; more than other bodies may have."""
    async with serve(max_file_mib=0.25, max_body_mib=0.01) as web:
        assert (await upload(web, b"x" * 2**17))["bytes"] == 2**17
        for size in (2**18 + 1, 2**19):
            files = {"file": ("x", b"x" * size)}
            answer = await web.http.post("/v1/files", files=files, data=BATCH)
            assert code(answer) == (413, "body_too_large")
        assert len((await web.http.get("/v1/files")).json()["data"]) == 1


async def test_a_file_is_kept_as_long_as_is_wished(web: Web) -> None:
    """An hour to thirty days, in OpenAI's words."""
    hour: Any = {"expires_after[anchor]": "created_at", "expires_after[seconds]": "3600"}
    made = await upload(web, **hour)
    assert made["expires_at"] == made["created_at"] + 3600
    wrong = ("3599", "soon", "9" * 5000, "٣٦٠٠")
    for change in (*({"seconds": each} for each in wrong), {"anchor": "now"}):
        form = BATCH | hour | {f"expires_after[{name}]": text for name, text in change.items()}
        answer = await web.http.post("/v1/files", files={"file": ("x", b"1")}, data=form)
        assert code(answer) == (400, "invalid_request")


async def test_a_file_whose_time_is_over_is_forgotten(web: Web) -> None:
    """Its bytes go when the worker comes by."""
    made = (await upload(web))["id"]
    await web.parts.files.put(
        FileRecord(made, "in.jsonl", "batch", len(DATA), expires_at=datetime.now(UTC))
    )
    assert code(await web.http.get(f"/v1/files/{made}")) == (404, "file_not_found")
    web.parts.inbox.news.set()
    await until(partial(is_gone, web, made))
