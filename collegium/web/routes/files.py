"""/v1/files: upload, list, read and delete the files of bulk jobs, in OpenAI's format."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from collegium.errors import BadRequest
from collegium.experts.clients.events import Json
from collegium.registry.bulk.file_store import CHUNK
from collegium.registry.bulk.files import FileRecord
from collegium.registry.storage.pages import Order, Page
from collegium.web.auth import CallerDep, OwnerFilter, ScopeDep, narrowed
from collegium.web.body_limit import too_large
from collegium.web.parts_of import FilesDep, FileStoreDep, PartsDep

routes = APIRouter()
PATH = "/v1/files"
PURPOSES = ("batch", "learning")
FORM_ROOM = 1 << 16
"""Bytes of the form around the file."""
LONGEST_NAME = 512
LONGEST_TOLD = 64
SECONDS = re.compile(r"[0-9]{1,9}")
EXPIRY_S = range(3600, 2_592_001)  # one hour to thirty days, as OpenAI has it


@routes.post(PATH)
async def upload(
    request: Request,
    parts: PartsDep,
    caller: CallerDep,
) -> Json:
    """Store a file."""
    from collegium.web.serving.storage import put_within_limits, require_room  # for who uploads

    store, most = parts.file_store, round(parts.settings.max_file_mib * 2**20)
    await require_room(parts, caller)
    async with AsyncExitStack() as stack:
        form = await _form(request, most)
        stack.push_async_callback(form.close)
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise BadRequest("Send the file as the form's field `file`", "file")
        purpose, expires_s = _purpose(form), _expiry(form)
        if file.size is not None and file.size > most:
            raise too_large(most, "max_file_mib")
        await require_room(parts, caller, file.size or 0)
        file_id, size = await store.save(_chunks(file))
    now = datetime.now(UTC)
    expires = None if expires_s is None else now + timedelta(seconds=expires_s)
    name = (file.filename or "upload.jsonl")[:LONGEST_NAME]
    record = FileRecord(file_id, name, purpose, size, now, expires, caller.owner)
    try:
        await put_within_limits(parts, caller, record)
    except BaseException:
        await store.remove(file_id)
        raise
    return file_json(record)


@routes.get(PATH)
async def list_files(
    files: FilesDep,
    scope: ScopeDep,
    owner: OwnerFilter = None,
    purpose: str | None = None,
    after: str | None = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 10_000,
    order: Order = "desc",
) -> Json:
    """Return one page of the caller's files."""
    page = await files.list(
        scope=narrowed(scope, owner), purpose=purpose, after=after, limit=limit, order=order
    )
    return page_json(page.map(file_json))


@routes.get(PATH + "/{file_id}")
async def file(file_id: str, files: FilesDep, scope: ScopeDep) -> Json:
    """Return the metadata of a file."""
    return file_json(await files.get(file_id, scope))


@routes.get(PATH + "/{file_id}/content")
async def content(
    file_id: str, files: FilesDep, store: FileStoreDep, scope: ScopeDep
) -> StreamingResponse:
    """The file's bytes."""
    record = await files.get(file_id, scope)
    chunks = store.chunks(file_id)
    first = await anext(chunks, b"")  # an error is still an HTTP error here
    headers = {"Content-Length": str(record.bytes)}

    async def body() -> AsyncIterator[bytes]:
        yield first
        async for chunk in chunks:
            yield chunk

    return StreamingResponse(body(), media_type="application/octet-stream", headers=headers)


@routes.delete(PATH + "/{file_id}")
async def delete(file_id: str, files: FilesDep, store: FileStoreDep, scope: ScopeDep) -> Json:
    """Forget a file and its bytes."""
    await files.get(file_id, scope)
    await files.forget(file_id)
    await store.remove(file_id)
    return {"id": file_id, "object": "file", "deleted": True}


def file_json(record: FileRecord) -> Json:
    """A file as OpenAI shows it."""
    expires = record.expires_at
    return {
        "id": record.id,
        "object": "file",
        "bytes": record.bytes,
        "created_at": int(record.created_at.timestamp()),
        "expires_at": None if expires is None else int(expires.timestamp()),
        "filename": record.filename,
        "purpose": record.purpose,
        "status": "processed",
    }


def page_json(page: Page[Json]) -> Json:
    """A page of a list as OpenAI shows it."""
    ids = [item["id"] for item in page.items] or [None]
    return {
        "object": "list",
        "data": list(page.items),
        "first_id": ids[0],
        "last_id": ids[-1],
        "has_more": page.has_more,
    }


async def _form(request: Request, most: int) -> FormData:
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise BadRequest("Upload files as multipart/form-data with `file` and `purpose`")
    stream = _counted(request, most + FORM_ROOM)
    parser = MultiPartParser(request.headers, stream, max_files=1, max_fields=8)
    try:
        return await parser.parse()
    except (MultiPartException, KeyError) as exc:  # KeyError: no boundary is named
        raise BadRequest(f"The form can't be read: {exc}") from exc


async def _counted(request: Request, most: int) -> Any:
    seen = 0
    async for chunk in request.stream():
        seen += len(chunk)
        if seen > most:
            raise too_large(most, "max_file_mib")
        yield chunk


async def _chunks(file: UploadFile) -> AsyncIterator[bytes]:
    while chunk := await file.read(CHUNK):
        yield chunk


def _purpose(form: FormData) -> str:
    purpose = form.get("purpose")
    if purpose not in PURPOSES:
        given = str(purpose)[:LONGEST_TOLD]
        raise BadRequest(f"purpose must be 'batch' or 'learning', not {given!r}", "purpose")
    return str(purpose)


def _expiry(form: FormData) -> int | None:
    """Return how many seconds the file is kept; None for no expiry."""
    anchor, seconds = form.get("expires_after[anchor]"), form.get("expires_after[seconds]")
    if anchor is None and seconds is None:
        return None
    text = str(seconds)
    if anchor != "created_at" or not SECONDS.fullmatch(text) or int(text) not in EXPIRY_S:
        raise BadRequest(
            f"expires_after must have the anchor created_at and {EXPIRY_S[0]} to {EXPIRY_S[-1]} "
            "seconds",
            "expires_after",
        )
    return int(text)
