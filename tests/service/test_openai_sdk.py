"""The API as the OpenAI Python SDK sees it, on the real engine."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from collegium.evals.tasks import TASKS
from tests.running_service import RunningService

pytestmark = pytest.mark.slow
SQL = TASKS["sql"].examples("test", 1)[0]
HELLO: Any = [{"role": "user", "content": "Tell me about the sea."}]


def asking(text: str) -> Any:
    return [{"role": "user", "content": text}]


def test_a_query_goes_to_its_specialist_and_the_answer_says_so(sdk: openai.OpenAI) -> None:
    """The model field is the expert that answered, and its answer passes the task's check."""
    raw = sdk.chat.completions.with_raw_response.create(
        model="auto", messages=asking(SQL.prompt), temperature=0, max_tokens=80
    )
    answer = raw.parse()
    assert answer.model == "sql"
    assert raw.headers["x-collegium-expert"] == raw.headers["x-router-model"] == "sql"
    assert raw.headers["x-collegium-policy"] == "quality"
    assert float(raw.headers["x-collegium-confidence"]) > 0.5
    assert raw.headers["x-collegium-decision-id"].startswith("dec_")
    assert "SELECT" in (answer.choices[0].message.content or "").upper()


def test_small_talk_goes_to_the_generalist(sdk: openai.OpenAI) -> None:
    """Of what no specialist was taught the marks say little."""
    answer = sdk.chat.completions.create(model="collegium/auto", messages=HELLO, max_tokens=5)
    assert answer.model == "smollm2"
    decision = answer.model_extra["collegium"]["decision"]  # type: ignore[index]
    assert decision["policy"] == "quality"
    assert decision["ood_score"] > 0.5
    assert decision["reason"].startswith("Unlike most that the experts were measured on")


def test_a_named_expert_is_not_routed(sdk: openai.OpenAI) -> None:
    """An expert's name bypasses routing."""
    answer = sdk.chat.completions.create(model="json", messages=HELLO, max_tokens=5)
    assert answer.model == "json"


def test_a_stream_is_the_same_text_in_pieces(sdk: openai.OpenAI) -> None:
    """Streamed pieces join to the whole answer; first and last chunk carry our labels."""
    asked: Any = {"model": "auto", "messages": asking(SQL.prompt), "temperature": 0}
    whole = sdk.chat.completions.create(**asked, max_tokens=60)
    chunks = list(sdk.chat.completions.create(**asked, max_tokens=60, stream=True))
    text = "".join(c.choices[0].delta.content or "" for c in chunks)
    assert text == whole.choices[0].message.content
    assert len(chunks) > 5
    assert {c.model for c in chunks} == {"sql"}
    first: Any = chunks[0].model_extra
    assert first["x-router-metadata"]["model"] == "sql"
    assert first["collegium"]["decision"]["expert"] == "sql"
    last: Any = chunks[-1].model_extra
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert last["collegium"]["outcome"]["completion_tokens"] > 5


def test_usage_comes_last_when_it_is_asked_for(sdk: openai.OpenAI) -> None:
    """With include_usage the last chunk has no choices and the true counts."""
    stream = sdk.chat.completions.create(
        model="smollm2",
        messages=HELLO,
        max_tokens=7,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 7
    assert all(c.choices for c in chunks[:-1])


async def test_the_async_client_streams_too(service: RunningService) -> None:
    """AsyncOpenAI works as the plain client does."""
    async with openai.AsyncOpenAI(base_url=f"{service.url}/v1", api_key="none") as client:
        stream = await client.chat.completions.create(
            model="auto", messages=HELLO, max_tokens=8, stream=True
        )
        text = [c.choices[0].delta.content or "" async for c in stream]
    assert "".join(text)


def test_options_pass_through_to_the_engine(sdk: openai.OpenAI) -> None:
    """n, stop and seed do what they say."""
    two = sdk.chat.completions.create(
        model="smollm2", messages=HELLO, n=2, temperature=1.0, seed=7, max_tokens=12
    )
    again = sdk.chat.completions.create(
        model="smollm2", messages=HELLO, n=2, temperature=1.0, seed=7, max_tokens=12
    )
    assert len(two.choices) == 2
    texts = [choice.message.content for choice in two.choices]
    assert texts == [choice.message.content for choice in again.choices]
    stopped = sdk.chat.completions.create(
        model="sql", messages=asking(SQL.prompt), temperature=0, stop=[" FROM"], max_tokens=60
    )
    assert "FROM" not in (stopped.choices[0].message.content or "")


def test_a_response_format_is_kept(sdk: openai.OpenAI) -> None:
    """A JSON schema constrains even the generalist."""
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 12}},
        "required": ["city"],
        "additionalProperties": False,
    }
    answer = sdk.chat.completions.create(
        model="smollm2",
        messages=asking("Which city is the capital of France?"),
        response_format={"type": "json_schema", "json_schema": {"name": "c", "schema": schema}},
        temperature=0,
        max_tokens=60,
    )
    assert set(json.loads(answer.choices[0].message.content or "")) == {"city"}


def test_tools_pass_through(sdk: openai.OpenAI) -> None:
    """A forced tool is called, with arguments in JSON."""
    parameters = {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 12}},
        "required": ["city"],
        "additionalProperties": False,
    }
    function: Any = {"name": "weather", "description": "Weather", "parameters": parameters}
    answer = sdk.chat.completions.create(
        model="smollm2",
        messages=asking("What is the weather in Paris?"),
        tools=[{"type": "function", "function": function}],
        tool_choice={"type": "function", "function": {"name": "weather"}},
        temperature=0,
        max_tokens=60,
    )
    calls: Any = answer.choices[0].message.tool_calls
    assert calls[0].function.name == "weather"
    assert "Paris" in str(json.loads(calls[0].function.arguments))


def test_models_lists_virtual_models_and_experts(sdk: openai.OpenAI) -> None:
    """Virtual models first, then every enabled expert."""
    names = [model.id for model in sdk.models.list()]
    assert names[0] == "auto"
    assert {"collegium/cheap", "collegium/best", "smollm2", *TASKS} <= set(names)


def test_a_conversation_stays_with_its_expert(sdk: openai.OpenAI) -> None:
    """A short follow-up is read together with the question before it."""
    headers = {"x-session-id": "a-conversation"}
    first = sdk.chat.completions.create(
        model="auto", messages=asking(SQL.prompt), max_tokens=40, extra_headers=headers
    )
    follow_up: Any = [
        *asking(SQL.prompt),
        {"role": "assistant", "content": first.choices[0].message.content},
        {"role": "user", "content": "and descending?"},
    ]
    second = sdk.chat.completions.create(
        model="auto", messages=follow_up, max_tokens=40, extra_headers=headers
    )
    assert (first.model, second.model) == ("sql", "sql")


def test_errors_are_the_sdk_s_own(sdk: openai.OpenAI) -> None:
    """Unknown names and long prompts raise the exceptions that SDK users expect."""
    with pytest.raises(openai.NotFoundError, match="no model 'nobody'"):
        sdk.chat.completions.create(model="nobody", messages=HELLO)
    with pytest.raises(openai.BadRequestError) as refusal:
        sdk.chat.completions.create(model="smollm2", messages=asking("sea " * 3000))
    assert refusal.value.code == "context_length_exceeded"
