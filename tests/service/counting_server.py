"""A real upstream that counts: who was answered, how often, how many at once, how many were left.

`python counting_server.py PORT` serves one model, `counting`. A request's last message is its id;
`tokens`, `first_s` and `every_s` in its body say how many chunks it wants and how fast. After
`POST /hold?after=N` the next requests wait for `POST /release`; who leaves before is not billed.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import StreamingResponse

app = FastAPI()
MODEL = "counting"
asked: Counter[str] = Counter()
finished: Counter[str] = Counter()
load = {"now": 0, "most": 0, "left": 0}
held: dict[str, int | None] = {"after": None, "waiting": 0}


@app.get("/v1/models")
async def models() -> dict[str, Any]:
    """One model."""
    return {"object": "list", "data": [{"id": MODEL, "object": "model"}]}


@app.get("/stats")
async def stats() -> dict[str, Any]:
    """Everything that was counted."""
    return {"asked": asked, "finished": finished, "waiting": held["waiting"], **load}


@app.post("/hold")
async def hold(after: int) -> None:
    """Answer so many requests, and let the others wait."""
    held["after"] = after


@app.post("/release")
async def release() -> None:
    """Let nobody wait any more."""
    held["after"] = None


@app.post("/reset")
async def reset() -> None:
    """Forget what was counted: the probes of a registration are not the test's."""
    asked.clear()
    finished.clear()
    load.update(now=0, most=0, left=0)


@app.post("/v1/chat/completions", response_model=None)
async def chat(body: dict[str, Any], request: Request) -> dict[str, Any] | StreamingResponse:
    """Say the id as often as is wished."""
    name = str(body["messages"][-1]["content"])
    asked[name] += 1
    await released(request)
    words = answer(name, body)
    if body.get("stream"):
        return StreamingResponse(events(words, body), media_type="text/event-stream")
    said = "".join([word async for word in words])
    message = {"role": "assistant", "content": said}
    return shaped(choices=[{"index": 0, "message": message, "finish_reason": "stop"}], usage=USAGE)


async def released(request: Request) -> None:
    """Return when the request need not wait; end it where its client is gone."""
    after = held["after"]
    if after is None or sum(asked.values()) <= after:
        return
    held["waiting"] = (held["waiting"] or 0) + 1
    try:
        while held["after"] is not None:
            await asyncio.sleep(0.05)
            if await request.is_disconnected():
                raise HTTPException(499)
    finally:
        held["waiting"] = (held["waiting"] or 0) - 1


USAGE = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}


def shaped(**fields: Any) -> dict[str, Any]:
    """In OpenAI's shape."""
    return {"id": "counting", "created": 0, "model": MODEL, "object": "chat.completion", **fields}


async def answer(name: str, body: dict[str, Any]) -> AsyncIterator[str]:
    """Words, and the counts around them."""
    load["now"] += 1
    load["most"] = max(load["most"], load["now"])
    try:
        await asyncio.sleep(float(body.get("first_s", 0.0)))
        for number in range(int(body.get("tokens", 5))):
            yield f"{name}/{number} "
            await asyncio.sleep(float(body.get("every_s", 0.0)))
        finished[name] += 1
    finally:
        load["now"] -= 1
        load["left"] = sum(asked.values()) - sum(finished.values()) - load["now"]


async def events(words: AsyncIterator[str], body: dict[str, Any]) -> AsyncIterator[str]:
    """As server-sent events."""
    async for word in words:
        delta = {"role": "assistant", "content": word}
        yield event(choices=[{"index": 0, "delta": delta, "finish_reason": None}])
    yield event(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}])
    yield event(choices=[], usage=USAGE)
    yield "data: [DONE]\n\n"


def event(**fields: Any) -> str:
    """One of them."""
    return f"data: {json.dumps(shaped(**fields) | {'object': 'chat.completion.chunk'})}\n\n"


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning", backlog=2048)
