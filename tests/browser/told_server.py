"""Experts that say what they are told to: an OpenAI-compatible server for tests of the page.

A question's first line may be `say` (say what follows), `slowly` (the same, in pieces) or `wait N`
(refuse once, and ask to be left alone for N seconds); other questions are answered in five words.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI
from fastapi.responses import JSONResponse, StreamingResponse

app = FastAPI()
MODELS = ("first", "second", "third")
PIECE = 24
PAUSE_S = 0.02
refused: set[str] = set()
asked: list[dict[str, Any]] = []


@app.get("/v1/models")
def models() -> dict[str, Any]:
    """All of them."""
    return {"object": "list", "data": [{"id": model, "object": "model"} for model in MODELS]}


@app.get("/asked")
def seen() -> list[dict[str, Any]]:
    """The bodies of all requests."""
    return asked


@app.post("/v1/chat/completions", response_model=None)
async def chat(body: dict[str, Any]) -> StreamingResponse | JSONResponse:
    """Do as the last message says."""
    asked.append(body)
    question = last_text(body)
    order, _, rest = question.partition("\n")
    if order.startswith("wait ") and question not in refused:
        refused.add(question)
        error = {"message": "Too many requests", "type": "rate_limit_error"}
        headers = {"retry-after": order.split()[1]}
        return JSONResponse({"error": error}, 429, headers=headers)
    text = rest if order in ("say", "slowly") else f"This is the answer of {body['model']}."
    if not body.get("stream"):
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return JSONResponse({**base("chat.completion"), "choices": [choice], "usage": usage(text)})
    pause = PAUSE_S if order == "slowly" else 0.0
    return StreamingResponse(events(text, pause), media_type="text/event-stream")


def last_text(body: dict[str, Any]) -> str:
    """The words of the last message."""
    content = body["messages"][-1]["content"]
    if isinstance(content, str):
        return content
    return "\n".join(part.get("text", "") for part in content if part["type"] == "text")


async def events(text: str, pause: float) -> AsyncIterator[str]:
    """The answer in pieces."""
    for start in range(0, len(text), PIECE):
        yield event({"content": text[start : start + PIECE]})
        await asyncio.sleep(pause)
    yield event({}, "stop")
    last = {**base("chat.completion.chunk"), "choices": [], "usage": usage(text)}
    yield f"data: {json.dumps(last)}\n\ndata: [DONE]\n\n"


def event(delta: dict[str, Any], finish: str | None = None) -> str:
    """One chunk."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return f"data: {json.dumps({**base('chat.completion.chunk'), 'choices': [choice]})}\n\n"


def base(kind: str) -> dict[str, Any]:
    """What every answer has."""
    return {"id": "told", "object": kind, "created": 0, "model": "told"}


def usage(text: str) -> dict[str, int]:
    """About as a tokenizer would count."""
    completion = len(text.split())
    return {"prompt_tokens": 10, "completion_tokens": completion, "total_tokens": 10 + completion}
