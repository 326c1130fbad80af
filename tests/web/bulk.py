"""Bulk jobs by the API: their lines, the jobs and their results."""

from __future__ import annotations

import json
from typing import Any

import httpx

from tests.web.conftest import Web, until

CHAT = "/v1/chat/completions"
ENDED = ("completed", "failed", "expired", "cancelled")


def line(custom_id: str, text: str = "sql 1", model: str = "sql", **body: Any) -> str:
    """One request of a job."""
    messages = [{"role": "user", "content": text}]
    request = {"model": model, "messages": messages, **body}
    return json.dumps({"custom_id": custom_id, "method": "POST", "url": CHAT, "body": request})


async def uploaded(web: Web, lines: list[str]) -> str:
    """Upload a job's lines."""
    files = {"file": ("in.jsonl", "\n".join(lines).encode())}
    answer = await web.http.post("/v1/files", files=files, data={"purpose": "batch"})
    return str(answer.json()["id"])


async def create(web: Web, source: str, **fields: Any) -> httpx.Response:
    """Begin a job."""
    body = {"input_file_id": source, "endpoint": CHAT, "completion_window": "24h"} | fields
    return await web.http.post("/v1/batches", json=body)


async def submitted(web: Web, lines: list[str], **fields: Any) -> str:
    """Upload lines and begin a job; return its id."""
    answer = await create(web, await uploaded(web, lines), **fields)
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "validating"
    return str(answer.json()["id"])


async def seen(web: Web, batch: str) -> Any:
    """The job as it is now."""
    return (await web.http.get(f"/v1/batches/{batch}")).json()


async def ended(web: Web, batch: str) -> Any:
    """The job when it has ended."""
    latest: Any = {}

    async def look() -> bool:
        latest.update(await seen(web, batch))
        return latest["status"] in ENDED

    await until(look)
    return latest


async def results(web: Web, file_id: str | None) -> list[Any]:
    """The lines of an output or error file."""
    assert file_id is not None
    content = (await web.http.get(f"/v1/files/{file_id}/content")).text
    return [json.loads(text) for text in content.splitlines()]


async def done(web: Web, lines: list[str], **fields: Any) -> tuple[Any, dict[str, Any]]:
    """Do a job; return it with its answers by id."""
    batch = await ended(web, await submitted(web, lines, **fields))
    found = await results(web, batch["output_file_id"]) if batch["output_file_id"] else []
    return batch, {result["custom_id"]: result["response"] for result in found}


def experts(told: dict[str, Any]) -> list[str]:
    """Who answered each line."""
    return [response["body"]["model"] for response in told.values()]
