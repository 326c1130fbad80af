"""Anthropic's Python SDK."""

from __future__ import annotations

import anthropic
from checks import BASE, KEY, MODEL, SCRIPTED, WEATHER, said, same

client = anthropic.Anthropic(base_url=BASE, api_key=KEY, max_retries=0)
HELLO = [{"role": "user", "content": "Hello there"}]


def messages() -> None:
    """Whole and streamed."""
    answer = client.messages.create(model=MODEL, max_tokens=16, messages=HELLO)
    said(answer.content[0].text, "You said: Hello there")
    assert answer.usage.output_tokens > 0
    with client.messages.stream(model=MODEL, max_tokens=16, messages=HELLO) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    said(text, "You said: Hello there")
    same(final.content[0].text, text)
    assert client.messages.count_tokens(model=MODEL, messages=HELLO).input_tokens > 1


def tools() -> None:
    """A whole tool loop, streamed at first."""
    offered = [{"name": "weather", "description": "The weather", "input_schema": WEATHER}]
    asked = {"model": MODEL, "max_tokens": 100, "tools": offered}
    with client.messages.stream(**asked, messages=HELLO) as stream:
        first = stream.get_final_message()
    same(first.stop_reason, "tool_use")
    use = next(block for block in first.content if block.type == "tool_use")
    same(use.input, {"city": "Paris"})
    result = {"type": "tool_result", "tool_use_id": use.id, "content": "sunny"}
    turns = [
        *HELLO,
        {"role": "assistant", "content": [b.model_dump() for b in first.content]},
        {"role": "user", "content": [result]},
    ]
    second = client.messages.create(**asked, messages=turns)
    said(second.content[0].text, "The result is sunny.")
    same(second.stop_reason, "end_turn")


def errors() -> None:
    """What is wrong raises the SDK's own errors."""
    try:
        client.messages.create(model="nobody", max_tokens=16, messages=HELLO)
    except anthropic.NotFoundError as exc:
        same(exc.body["type"], "error")
        same(exc.body["error"]["type"], "not_found_error")
        assert exc.request_id, "an answer without a request id"
    else:
        raise SystemExit("an unknown model was answered")


messages()
errors()
if SCRIPTED:
    tools()
