"""The API as Anthropic's Python SDK sees it, on the real engine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import pytest

from tests.running_service import RunningService

pytestmark = pytest.mark.slow
HELLO: Any = {
    "model": "smollm2",
    "max_tokens": 8,
    "messages": [{"role": "user", "content": "Tell me about the sea."}],
    "system": "Be brief.",
}


@pytest.fixture
def client(service: RunningService) -> Iterator[Any]:
    """The SDK's client; its types want a cast for each block."""
    with anthropic.Anthropic(base_url=service.url, api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
def natively(service: RunningService) -> Iterator[None]:
    """Tell the service that the engine speaks the Messages API, which vLLM does."""
    url = f"{service.url}/v1/experts/smollm2"
    httpx.patch(url, json={"capabilities": {"messages": True}}).raise_for_status()
    yield
    httpx.patch(url, json={"capabilities": {"messages": None}}).raise_for_status()


def test_a_message(client: Any) -> None:
    """Asked as a chat."""
    message = client.messages.create(**HELLO)
    assert message.model == "smollm2"
    assert message.content[0].text
    assert message.stop_reason == "max_tokens"
    assert message.usage.output_tokens == 8


@pytest.mark.usefixtures("natively")
def test_a_message_of_the_engines_own(client: Any) -> None:
    """Whole and streamed, passed on as it comes; both say the same."""
    asked = {**HELLO, "extra_body": {"temperature": 0}}  # the SDK has no such argument
    whole = client.messages.create(**asked)
    with client.messages.stream(**asked) as stream:
        streamed = stream.get_final_message()
    for message in (whole, streamed):
        assert message.model == "smollm2"
        assert message.stop_reason == "max_tokens"
        assert message.usage.output_tokens == 8
        assert message.id.startswith("msg_dec_")
    assert whole.content[0].text == streamed.content[0].text != ""
    assert whole.usage.input_tokens == streamed.usage.input_tokens > 10


def test_the_engine_counts_tokens(client: Any) -> None:
    """Exactly as many as it reads."""
    prompt = {k: HELLO[k] for k in ("model", "messages", "system")}
    raw = client.messages.with_raw_response.count_tokens(**prompt)
    assert raw.headers["x-collegium-counted"] == "expert"
    read = client.messages.create(**HELLO).usage.input_tokens
    assert raw.parse().input_tokens == read
