"""A second real server: an OpenAI-compatible endpoint whose one model repeats what it is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.responses import StreamingResponse

app = FastAPI()
MODEL = "echo-1"


@app.get("/v1/models")
def models() -> dict[str, Any]:
    """One model."""
    return {"object": "list", "data": [{"id": MODEL, "object": "model"}]}


@app.post("/v1/chat/completions", response_model=None)
def chat(body: dict[str, Any]) -> dict[str, Any] | StreamingResponse:
    """Repeat the last message."""
    said = f"Echo: {body['messages'][-1]['content']}"
    base = {"id": "echo", "created": 0, "model": MODEL}
    usage = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}
    if not body.get("stream"):
        message = {"role": "assistant", "content": said}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return {**base, "object": "chat.completion", "choices": [choice], "usage": usage}

    def events() -> Iterator[str]:
        chunk = {**base, "object": "chat.completion.chunk"}
        for word in said.split(" "):
            delta = {"role": "assistant", "content": f"{word} "}
            choice = {"index": 0, "delta": delta, "finish_reason": None}
            yield f"data: {json.dumps({**chunk, 'choices': [choice]})}\n\n"
        end = {"index": 0, "delta": {}, "finish_reason": "stop"}
        yield f"data: {json.dumps({**chunk, 'choices': [end]})}\n\n"
        yield f"data: {json.dumps({**chunk, 'choices': [], 'usage': usage})}\n\n"
        yield "data: [DONE]\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")
