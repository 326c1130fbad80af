"""The tables of docs/api.md, and requests that several of their tests send."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from tests.repository import ROOT
from tests.web.conftest import Web

Ask = Callable[[Web], Awaitable[httpx.Response]]
LINE = {
    "custom_id": "a",
    "method": "POST",
    "url": "/v1/chat/completions",
    "body": {"model": "sql", "messages": [{"role": "user", "content": "sql 1"}]},
}
NEW = {"name": "new", "kind": "litellm"}


def rows(first: str) -> list[list[str]]:
    """The cells of the table of docs/api.md whose first column is called so."""
    lines = (ROOT / "docs" / "api.md").read_text(encoding="utf-8").splitlines()
    start = lines.index(next(line for line in lines if line.startswith(f"| {first} |"))) + 2
    end = next(i for i in range(start, len(lines)) if not lines[i].startswith("|"))
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[start:end]]


def unquoted(cell: str) -> str:
    return cell.strip("`")


def get(path: str) -> Ask:
    return lambda web: web.http.get(path)


def post(path: str, body: Any = None) -> Ask:
    return lambda web: web.http.post(path, json=body)


async def decision(web: Web) -> str:
    """The id of a decision."""
    return str((await web.chat("sql 1")).json()["collegium"]["decision"]["id"])


async def file(web: Web) -> str:
    """The id of a file."""
    return str((await upload(web)).json()["id"])


async def upload(web: Web) -> httpx.Response:
    files = {"file": ("in.jsonl", json.dumps(LINE).encode())}
    return await web.http.post("/v1/files", files=files, data={"purpose": "batch"})


async def create(web: Web) -> httpx.Response:
    body = {"input_file_id": await file(web), "endpoint": "/v1/chat/completions"}
    return await web.http.post("/v1/batches", json=body)


async def batch(web: Web) -> str:
    """The id of a bulk job, whose expert says nothing yet."""
    web.experts["sql"].waits = True
    return str((await create(web)).json()["id"])


async def cancel_batch(web: Web) -> httpx.Response:
    return await web.http.post(f"/v1/batches/{await batch(web)}/cancel")
