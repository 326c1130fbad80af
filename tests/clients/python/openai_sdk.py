"""OpenAI's Python SDK."""

from __future__ import annotations

import json

import openai
from checks import BASE, KEY, MODEL, SCRIPTED, WEATHER, said, same
from pydantic import BaseModel

client = openai.OpenAI(base_url=f"{BASE}/v1", api_key=KEY, max_retries=0)
HELLO = [{"role": "user", "content": "Hello there"}]
FUNCTION = {"name": "weather", "description": "The weather of a city", "parameters": WEATHER}


class Trip(BaseModel):
    """A structured answer."""

    city: str
    days: int


def chat() -> None:
    """Whole and streamed, with usage."""
    answer = client.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=16)
    said(answer.choices[0].message.content, "You said: Hello there")
    options = {"include_usage": True}
    chunks = list(
        client.chat.completions.create(
            model=MODEL, messages=HELLO, max_tokens=16, stream=True, stream_options=options
        )
    )
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    said(text, "You said: Hello there")
    assert chunks[-1].usage.total_tokens > 0
    if not SCRIPTED:  # the helper raises where an answer is cut
        return
    with client.chat.completions.stream(model=MODEL, messages=HELLO, max_tokens=16) as stream:
        said(stream.get_final_completion().choices[0].message.content, "You said: Hello there")


def chat_tools() -> None:
    """A whole tool loop, streamed at first."""
    tools = [{"type": "function", "function": FUNCTION}]
    asked = {"model": MODEL, "messages": [*HELLO], "tools": tools}
    with client.chat.completions.stream(**asked) as stream:
        message = stream.get_final_completion().choices[0].message
    call = message.tool_calls[0]
    same(json.loads(call.function.arguments), {"city": "Paris"})
    asked["messages"] += [
        message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": "sunny"},
    ]
    answer = client.chat.completions.create(**asked)
    said(answer.choices[0].message.content, "The result is sunny.")


def structured() -> None:
    """A Pydantic model for an answer, by both protocols."""
    parsed = client.chat.completions.parse(model=MODEL, messages=HELLO, response_format=Trip)
    same(parsed.choices[0].message.parsed, Trip(city="Paris", days=7))
    response = client.responses.parse(model=MODEL, input="Hello there", text_format=Trip)
    same(response.output_parsed, Trip(city="Paris", days=7))


def responses() -> None:
    """The Responses API, whole and streamed."""
    answer = client.responses.create(model=MODEL, input="Hello there", max_output_tokens=16)
    said(answer.output_text, "You said: Hello there")
    events = list(
        client.responses.create(model=MODEL, input="Hello there", max_output_tokens=16, stream=True)
    )
    text = "".join(e.delta for e in events if e.type == "response.output_text.delta")
    said(text, "You said: Hello there")
    final = events[-1].response
    assert events[-1].type in ("response.completed", "response.incomplete"), events[-1].type
    same(text, final.output_text)
    added = [e.item.id for e in events if e.type == "response.output_item.added"]
    same(added, [item.id for item in final.output])


def response_tools() -> None:
    """A tool loop over the Responses API."""
    tools = [{"type": "function", **FUNCTION, "strict": False}]
    items = [{"role": "user", "content": "Hello there"}]
    first = client.responses.create(model=MODEL, input=items, tools=tools, store=False)
    call = next(item for item in first.output if item.type == "function_call")
    same(json.loads(call.arguments), {"city": "Paris"})
    items += [item.model_dump(exclude_none=True) for item in first.output]
    items.append({"type": "function_call_output", "call_id": call.call_id, "output": "sunny"})
    second = client.responses.create(model=MODEL, input=items, tools=tools, store=False)
    said(second.output_text, "The result is sunny.")


def others() -> None:
    """Completions, embeddings, models."""
    answer = client.completions.create(model=MODEL, prompt="Hello there", max_tokens=16)
    said(answer.choices[0].text, "You said: Hello there")
    pieces = client.completions.create(
        model=MODEL, prompt="Hello there", max_tokens=16, stream=True
    )
    said("".join(p.choices[0].text for p in pieces if p.choices), "You said: Hello there")
    vectors = client.embeddings.create(model="auto", input=["one", "two"]).data
    same([v.index for v in vectors], [0, 1])
    assert len(vectors[0].embedding) > 100
    same(client.models.retrieve("auto").id, "auto")
    assert "auto" in {model.id for model in client.models.list()}


def errors() -> None:
    """What is wrong raises the SDK's own errors."""
    try:
        client.chat.completions.create(model="nobody", messages=HELLO)
    except openai.NotFoundError as exc:
        assert exc.request_id, "an answer without x-request-id"
        assert "nobody" in exc.message
    else:
        raise SystemExit("an unknown model was answered")


chat()
responses()
others()
errors()
if SCRIPTED:
    chat_tools()
    structured()
    response_tools()
