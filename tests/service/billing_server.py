"""A real upstream that bills: it writes `wants` tokens, but no more than `max_tokens`.

`python billing_server.py PORT` serves one model. `every_s` in a body says how slowly; `aborts` that
the connection breaks after half of the answer. `/stats` tells what was asked and billed.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

app = FastAPI()
PROMPT = 9
billed = {"requests": 0, "prompt_tokens": 0, "completion_tokens": 0, "unlimited": 0}


@app.get("/v1/models")
async def models() -> dict[str, Any]:
    """One model."""
    return {"object": "list", "data": [{"id": "billing", "object": "model"}]}


@app.get("/stats")
async def stats() -> dict[str, Any]:
    """What was billed."""
    return billed


@app.post("/reset")
async def reset() -> None:
    """Forget it: the probes of a registration are not the test's."""
    billed.update(dict.fromkeys(billed, 0))


@app.post("/v1/chat/completions", response_model=None)
async def chat(body: dict[str, Any]) -> dict[str, Any] | StreamingResponse:
    """Write as many tokens as may be."""
    most = body.get("max_completion_tokens") or body.get("max_tokens")
    billed["requests"] += 1
    billed["prompt_tokens"] += PROMPT
    billed["unlimited"] += most is None
    count = min(int(body.get("wants", 5)), most or 10**6)
    if body.get("stream"):
        return StreamingResponse(events(count, body), media_type="text/event-stream")
    await asyncio.sleep(count * float(body.get("every_s", 0.0)))
    billed["completion_tokens"] += count
    message = {"role": "assistant", "content": "a " * count}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return shaped(choices=[choice], usage=usage(count))


def usage(count: int) -> dict[str, int]:
    """As OpenAI tells it."""
    return {"prompt_tokens": PROMPT, "completion_tokens": count, "total_tokens": PROMPT + count}


async def events(count: int, body: dict[str, Any]) -> AsyncIterator[str]:
    """One token a piece."""
    for number in range(count):
        if body.get("aborts") and number == count // 2:
            raise ConnectionError("as it was asked for")
        billed["completion_tokens"] += 1
        delta = {"role": "assistant", "content": "a "}
        yield event(choices=[{"index": 0, "delta": delta, "finish_reason": None}])
        await asyncio.sleep(float(body.get("every_s", 0.0)))
    yield event(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}])
    yield event(choices=[], usage=usage(count))
    yield "data: [DONE]\n\n"


def event(**fields: Any) -> str:
    """One server-sent event."""
    return f"data: {json.dumps(shaped(**fields))}\n\n"


def shaped(**fields: Any) -> dict[str, Any]:
    """In OpenAI's shape."""
    return {
        "id": "billing",
        "created": 0,
        "model": "billing",
        "object": "chat.completion",
        **fields,
    }


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), log_level="critical", backlog=2048)
