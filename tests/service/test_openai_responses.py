"""The Responses API as OpenAI's Python SDK sees it, on the real engine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from tests.running_service import RunningService

pytestmark = pytest.mark.slow
HELLO: Any = {
    "model": "smollm2",
    "max_output_tokens": 8,
    "input": "Tell me about the sea.",
    "instructions": "Be brief.",
    "temperature": 0,
}
WEATHER: Any = {
    "type": "function",
    "name": "weather",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}},
        "required": ["city"],
    },
    "strict": True,
}


@pytest.fixture(params=["translated", "native"])
def way(request: pytest.FixtureRequest, service: RunningService) -> Iterator[str]:
    """Whether the service is told that the engine speaks the Responses API, which vLLM does."""
    url = f"{service.url}/v1/experts/smollm2"
    speaks = True if request.param == "native" else None
    httpx.patch(url, json={"capabilities": {"responses": speaks}}).raise_for_status()
    yield request.param
    httpx.patch(url, json={"capabilities": {"responses": None}}).raise_for_status()


def final(sdk: openai.OpenAI, **asked: Any) -> tuple[Any, list[Any]]:
    """The response that a stream ends with, and its events."""
    events = list(sdk.responses.create(**asked, stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    return events[-1].response, events


def test_a_response(sdk: openai.OpenAI, way: str) -> None:
    """Whole and streamed; both say the same, and are cut where they have to be."""
    whole = sdk.responses.create(**HELLO)
    streamed, events = final(sdk, **HELLO)
    assert ("presence_penalty" in (whole.model_extra or {})) == (way == "native")  # vLLM's field
    for response in (whole, streamed):
        assert response.model == "smollm2"
        assert response.status == "incomplete"
        assert response.incomplete_details.reason == "max_output_tokens"
        assert response.usage.output_tokens == 8
        assert response.output[0].id == f"msg_{response.id.removeprefix('resp_')}_0"
        outcome = response.model_extra["collegium"]["outcome"]
        assert outcome["completion_tokens"] == 8
        assert outcome["prompt_tokens"] == response.usage.input_tokens
        assert outcome["estimated"] is False
    assert events[-1].type == "response.incomplete"
    said = "".join(e.delta for e in events if e.type == "response.output_text.delta")
    assert whole.output_text == streamed.output_text == said != ""
    assert whole.usage.input_tokens == streamed.usage.input_tokens


def test_a_loop_of_tools(sdk: openai.OpenAI, way: str) -> None:
    """A call, and its result in a conversation that is kept here."""
    asked: Any = {"model": "smollm2", "temperature": 0, "tools": [WEATHER]}
    asked["max_output_tokens"] = 60
    first, events = final(
        sdk, **asked, input="What is the weather in Paris?", tool_choice="required"
    )
    (call,) = [item for item in first.output if item.type == "function_call"]
    kind = "response.function_call_arguments.delta"
    assert "".join(e.delta for e in events if e.type == kind) == call.arguments
    assert call.name == "weather"
    assert "city" in call.arguments
    result: Any = {
        "type": "function_call_output",
        "call_id": call.call_id,
        "output": "sunny, 21 °C",
    }
    second: Any = sdk.responses.create(
        **{**asked, "max_output_tokens": 8},
        input=[result],
        previous_response_id=first.id,
        tool_choice="none",
    )
    assert second.previous_response_id == first.id
    assert second.usage.input_tokens > first.usage.input_tokens


def test_a_prompt_that_is_too_long(sdk: openai.OpenAI, way: str) -> None:
    """Is refused in our words."""
    with pytest.raises(openai.BadRequestError) as refused:
        sdk.responses.create(**{**HELLO, "input": "hello " * 20_000})
    assert refused.value.code == "context_length_exceeded"


def test_a_schema_is_kept(sdk: openai.OpenAI, way: str) -> None:
    """By the engine itself."""
    schema = {
        "type": "object",
        "properties": {"colour": {"type": "string", "enum": ["red", "blue"]}},
        "required": ["colour"],
    }
    form: Any = {"format": {"type": "json_schema", "name": "colour", "schema": schema}}
    response = sdk.responses.create(**{**HELLO, "max_output_tokens": 40}, text=form)
    assert response.output_text.replace(" ", "").replace("\n", "") in (
        '{"colour":"red"}',
        '{"colour":"blue"}',
    )
