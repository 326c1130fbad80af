"""An OpenAI-compatible server whose model has certain abilities and refuses all else."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any

from tests.experts.scripted_server import Raw, Request, Scripted, response, scripted

USAGE = {"prompt_tokens": 10, "completion_tokens": 5}
PARTS = {"image_url": "images", "input_audio": "audio", "file": "files"}
ENDPOINTS: Mapping[str, Any] = {
    "completions": {"choices": [{"text": "a"}]},
    "embeddings": {"data": [{"embedding": [0.0]}]},
    "rerank": {"results": [{"index": 0}]},
    "messages": {"type": "message"},
    "responses": {"object": "response"},
}


@asynccontextmanager
async def able_server(
    *abilities: str, row: Mapping[str, Any] | None = None, status: int = 400
) -> AsyncGenerator[Scripted]:
    """Serve a model with these abilities; `status` is what the others are refused with."""

    def respond(request: Request) -> Raw:
        path = request.path.removeprefix("/v1/")
        if path == "models":
            return response(body={"data": [{"id": "m", **(row or {})}]})
        if path in ENDPOINTS:
            served = path in abilities
            return response(body=ENDPOINTS[path]) if served else response(404, body={})
        return _chat(request.json(), abilities, status)

    async with scripted(respond) as server:
        server.url = f"{server.url}/v1" if not server.url.endswith("/v1") else server.url
        yield server


def _chat(body: Mapping[str, Any], abilities: Collection[str], status: int) -> Raw:
    missing = [need for need in _needed(body) if need not in abilities]
    if "no_chat" in abilities:
        missing.append("chat")
    if missing:
        return response(status, body={"error": {"message": f"no {missing[0]} here"}})
    message: dict[str, Any] = {"role": "assistant", "content": _text(body, abilities)}
    if "reasoning" in abilities:
        message["reasoning_content"] = "hm"
    if body.get("tools"):
        calls = 2 if "parallel_tools" in abilities else 1
        message["tool_calls"] = [
            {"id": str(i), "type": "function", "function": {"name": "weather", "arguments": "{}"}}
            for i in range(calls)
        ]
    choice: dict[str, Any] = {"message": message, "finish_reason": "stop"}
    if body.get("logprobs"):
        choice["logprobs"] = {"content": [{"token": "a", "logprob": -0.1}]}
    choices = [{**choice, "index": i} for i in range(body.get("n") or 1)]
    return response(body={"choices": choices, "usage": USAGE})


def _needed(body: Mapping[str, Any]) -> list[str]:
    """What a body needs, as a strict server looks at it."""
    need = [
        PARTS[part["type"]]
        for message in body["messages"]
        if isinstance(message["content"], list)
        for part in message["content"]
        if part["type"] in PARTS
    ]
    need += ["tools"] * bool(body.get("tools")) + ["logprobs"] * bool(body.get("logprobs"))
    need += ["n"] * ((body.get("n") or 1) > 1) + ["temperature"] * ("temperature" in body)
    need += ["reasoning"] * ("reasoning_effort" in body)
    need += ["developer_role"] * any(m["role"] == "developer" for m in body["messages"])
    form = body.get("response_format")
    return need + ([form["type"]] if form else []) + ["max_tokens"] * ("max_tokens" in body)


def _text(body: Mapping[str, Any], abilities: Collection[str]) -> str:
    if body.get("response_format"):
        return json.dumps({"colour": "red"})
    return "red walnut" if "images" in abilities else "hello"
