"""An upstream whose one model does what it is asked in a way that a test can foresee.

It repeats what the user said, calls the first tool that it is given, tells a tool's result, and
fills in a JSON schema. It speaks chat completions only: everything else has to be translated.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.responses import StreamingResponse

Json = dict[str, Any]
app = FastAPI()
MODEL = "scripted-1"
THOUGHT = "Let me think."


@app.get("/v1/models")
def models() -> Json:
    """One model, with the window that it says it has."""
    return {"object": "list", "data": [{"id": MODEL, "object": "model", "max_model_len": 200_000}]}


@app.post("/v1/chat/completions", response_model=None)
def chat(body: Json) -> Json | StreamingResponse:
    """Answer, whole or streamed."""
    message, reason = answer_to(body)
    base = {"id": "chatcmpl-scripted", "created": 1, "model": MODEL}
    if not body.get("stream"):
        choice = {"index": 0, "message": message, "finish_reason": reason}
        return {**base, "object": "chat.completion", "choices": [choice], "usage": usage()}
    head = {**base, "object": "chat.completion.chunk"}
    return StreamingResponse(streamed(head, message, reason), media_type="text/event-stream")


def streamed(head: Json, message: Json, reason: str) -> Iterator[str]:
    """The same answer in pieces."""
    deltas: list[Json] = [{"role": "assistant", "content": ""}]
    if thought := message.get("reasoning_content"):
        deltas += [{"reasoning_content": piece} for piece in halves(thought)]
    if text := message.get("content"):
        deltas += [{"content": piece} for piece in halves(text)]
    for index, call in enumerate(message.get("tool_calls", [])):
        function = call["function"]
        named = {"name": function["name"], "arguments": ""}
        deltas.append({"tool_calls": [{**call, "index": index, "function": named}]})
        for piece in halves(function["arguments"]):
            deltas.append({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    for delta in deltas:
        yield chunk(head, [{"index": 0, "delta": delta, "finish_reason": None}])
    yield chunk(head, [{"index": 0, "delta": {}, "finish_reason": reason}])
    yield chunk({**head, "usage": usage()}, [])
    yield "data: [DONE]\n\n"


def chunk(head: Json, choices: list[Json]) -> str:
    """One server-sent event."""
    return f"data: {json.dumps({**head, 'choices': choices})}\n\n"


def halves(text: str) -> list[str]:
    """A text in two pieces."""
    return [text[: len(text) // 2], text[len(text) // 2 :]]


def usage() -> Json:
    """Always the same, with some of it cached."""
    return {
        "prompt_tokens": 30,
        "completion_tokens": 12,
        "total_tokens": 42,
        "prompt_tokens_details": {"cached_tokens": 10},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


def answer_to(body: Json) -> tuple[Json, str]:
    """The message, and why it ends."""
    last = body["messages"][-1]
    message: Json = {"role": "assistant", "content": None}
    if body.get("reasoning_effort"):
        message["reasoning_content"] = THOUGHT
    form = body.get("response_format") or {}
    if last["role"] == "tool":
        return {**message, "content": f"The result is {text_of(last)}."}, "stop"
    if form.get("type") == "json_schema":
        told = instance_of(form["json_schema"]["schema"])
        return {**message, "content": json.dumps(told)}, "stop"
    if body.get("tools") and body.get("tool_choice") != "none":
        return {**message, "tool_calls": [call_of(chosen_tool(body))]}, "tool_calls"
    return {**message, "content": f"You said: {text_of(last)}"}, "stop"


def chosen_tool(body: Json) -> Json:
    """The tool that the caller names, or the first."""
    choice = body.get("tool_choice")
    tools: list[Json] = [tool["function"] for tool in body["tools"]]
    if isinstance(choice, dict):
        return next(tool for tool in tools if tool["name"] == choice["function"]["name"])
    return tools[0]


def call_of(tool: Json) -> Json:
    """A call with arguments that keep to the tool's schema."""
    told = json.dumps(instance_of(tool.get("parameters") or {"type": "object"}))
    function = {"name": tool["name"], "arguments": told}
    return {"id": "call_scripted", "type": "function", "function": function}


def instance_of(schema: Json, definitions: Json | None = None) -> Any:
    """The least that a schema allows, with all its properties."""
    known = definitions or schema.get("$defs") or {}
    if "$ref" in schema:
        return instance_of(known[schema["$ref"].rpartition("/")[2]], known)
    for several in ("anyOf", "oneOf", "allOf"):
        if several in schema:
            return instance_of(schema[several][0], known)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object" or "properties" in schema:
        return {n: instance_of(s, known) for n, s in schema.get("properties", {}).items()}
    if kind == "array":
        return [instance_of(schema.get("items", {"type": "string"}), known)]
    return {"integer": 7, "number": 7.5, "boolean": True, "null": None}.get(str(kind), "Paris")


def text_of(message: Json) -> str:
    """A message's text, whether it comes whole or in parts."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    return "".join(part.get("text") or "" for part in content or [])
