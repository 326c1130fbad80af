"""/v1/files: upload, list, read and delete the files of bulk jobs, in OpenAI's shape."""

from __future__ import annotations

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
from collegium.registry.file_store import CHUNK
from collegium.registry.files import FileRecord
from collegium.registry.pages import Order, Page
from collegium.web.auth import TenantDep
from collegium.web.body_limit import too_large
from collegium.web.parts_of import FilesDep, FileStoreDep, SettingsDep

routes = APIRouter()
PATH = "/v1/files"
PURPOSES = ("batch", "learning")
FORM_ROOM = 1 << 16
"""Bytes of the form around the file."""
LONGEST_NAME = 512
EXPIRY_S = range(3600, 2_592_001)  # one hour to thirty days, as OpenAI has it


@routes.post(PATH)
async def upload(
    request: Request,
    files: FilesDep,
    store: FileStoreDep,
    settings: SettingsDep,
    tenant: TenantDep,
) -> Json:
    """Keep a file; it is written to disk as it comes."""
    most = round(settings.max_file_mib * 2**20)
    async with AsyncExitStack() as stack:
        form = await _form(request, most)
        stack.push_async_callback(form.close)
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise BadRequest("Send the file as the form's field `file`", "file")
        purpose, expires_s = _purpose(form), _expiry(form)
        if file.size is not None and file.size > most:
            raise too_large(most)
        file_id, size = await store.save(_chunks(file))
    now = datetime.now(UTC)
    expires = None if expires_s is None else now + timedelta(seconds=expires_s)
    name = (file.filename or "upload.jsonl")[:LONGEST_NAME]
    record = FileRecord(file_id, name, purpose, size, now, expires, tenant)
    await files.put(record)
    return file_json(record)


@routes.get(PATH)
async def list_files(
    files: FilesDep,
    tenant: TenantDep,
    purpose: str | None = None,
    after: str | None = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 10_000,
    order: Order = "desc",
) -> Json:
    """One page of the caller's files."""
    page = await files.list(tenant=tenant, purpose=purpose, after=after, limit=limit, order=order)
    return page_json(page.map(file_json))


@routes.get(PATH + "/{file_id}")
async def file(file_id: str, files: FilesDep, tenant: TenantDep) -> Json:
    """What is known of one file."""
    return file_json(await files.get(file_id, tenant))


@routes.get(PATH + "/{file_id}/content")
async def content(
    file_id: str, files: FilesDep, store: FileStoreDep, tenant: TenantDep
) -> StreamingResponse:
    """The file's bytes."""
    record = await files.get(file_id, tenant)
    chunks = store.chunks(file_id)
    first = await anext(chunks, b"")  # an error of the disk is still an HTTP error
    headers = {"Content-Length": str(record.bytes)}

    async def body() -> AsyncIterator[bytes]:
        yield first
        async for chunk in chunks:
            yield chunk

    return StreamingResponse(body(), media_type="application/octet-stream", headers=headers)


@routes.delete(PATH + "/{file_id}")
async def delete(file_id: str, files: FilesDep, store: FileStoreDep, tenant: TenantDep) -> Json:
    """Forget a file and its bytes."""
    await files.get(file_id, tenant)
    await files.forget(file_id)
    store.remove(file_id)
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
            raise too_large(most)
        yield chunk


async def _chunks(file: UploadFile) -> AsyncIterator[bytes]:
    while chunk := await file.read(CHUNK):
        yield chunk


def _purpose(form: FormData) -> str:
    purpose = form.get("purpose")
    if purpose not in PURPOSES:
        raise BadRequest(f"purpose must be 'batch' or 'learning', not {purpose!r}", "purpose")
    return str(purpose)


def _expiry(form: FormData) -> int | None:
    """Seconds that the file is kept; None for ever."""
    anchor, seconds = form.get("expires_after[anchor]"), form.get("expires_after[seconds]")
    if anchor is None and seconds is None:
        return None
    text = str(seconds)
    if anchor != "created_at" or not text.isdecimal() or int(text) not in EXPIRY_S:
        raise BadRequest(
            f"expires_after must be created_at and {EXPIRY_S[0]} to {EXPIRY_S[-1]} seconds",
            "expires_after",
        )
    return int(text)
