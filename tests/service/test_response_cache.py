"""The response cache with two replicas, a real Redis, a real upstream, and both vendors' SDKs."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import anthropic
import httpx
import openai
import pytest

from tests.running_service import RunningService, running_service
from tests.servers import RedisServer, postgres_server, redis_server
from tests.service.upstreams import ADMIN, Upstream, billing, until

pytestmark = pytest.mark.slow
ADA, BEN = "the-key-of-ada-1", "the-key-of-ben-1"
CACHE = "x-collegium-cache"
EXACT = {"temperature": 0}
"""Newer models of Anthropic take no temperature, so its SDK has no parameter for it."""


@dataclass
class Two:
    """Two replicas, and what they share."""

    first: RunningService
    second: RunningService
    redis: RedisServer
    upstream: Upstream


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    """Two replicas on PostgreSQL and Redis, with one expert."""
    with ExitStack() as stack:
        redis = stack.enter_context(redis_server())
        postgres = stack.enter_context(postgres_server())
        upstream = stack.enter_context(billing())
        settings = {
            "COLLEGIUM_EMBEDDED": "false",
            "COLLEGIUM_DATABASE_URL": postgres.empty_database(),
            "COLLEGIUM_REDIS_URL": redis.url,
            "COLLEGIUM_RESPONSE_CACHE": "caller",
            "COLLEGIUM_API_KEY": ADMIN,
            "COLLEGIUM_CALLER_KEYS": json.dumps({"ada": ADA, "ben": BEN}),
        }
        folder = tmp_path_factory.mktemp("replicas")
        first, second = (
            stack.enter_context(running_service(folder / name, **settings)) for name in "ab"
        )
        expert = {"name": "a", "kind": "openai", "base_url": upstream.url, "generalist": True}
        prices = {"input_price": 1.0, "output_price": 2.0}
        headers = {"authorization": f"Bearer {ADMIN}"}
        added = httpx.post(
            f"{first.url}/v1/experts", json=expert | prices, headers=headers, timeout=60
        )
        assert added.status_code == 201, added.text
        until(lambda: ask(second, "are you there?").status_code == 200)
        yield Two(first, second, redis, upstream)


def ask(service: RunningService, text: str, key: str = ADA, **fields: Any) -> httpx.Response:
    """One deterministic request."""
    body = {"model": "a", "messages": [{"role": "user", "content": text}], "temperature": 0}
    headers = {"authorization": f"Bearer {key}"}
    url = f"{service.url}/v1/chat/completions"
    return httpx.post(url, json=body | fields, headers=headers, timeout=60)


def deleted(service: RunningService, path: str, key: str) -> httpx.Response:
    """Delete something."""
    headers = {"authorization": f"Bearer {key}"}
    return httpx.delete(f"{service.url}{path}", headers=headers, timeout=60)


def asked(two: Two) -> int:
    """How often the upstream was asked."""
    return int(two.upstream.stats()["requests"])


def test_replicas_share_answers_and_callers_do_not(two: Two) -> None:
    """One request of the upstream for a caller, whichever replica is asked."""
    before = asked(two)
    first = ask(two.first, "shared?")
    until(lambda: ask(two.second, "shared?").headers[CACHE] == "hit")
    again = ask(two.second, "shared?")
    assert first.json()["choices"] == again.json()["choices"]
    assert ask(two.second, "shared?", BEN).headers[CACHE] == "miss"
    assert asked(two) <= before + 3


def test_the_sdks_read_replayed_streams(two: Two) -> None:
    """OpenAI's stream is Anthropic's message and the other way round, on another replica."""
    messages: Any = [{"role": "user", "content": "stream it"}]
    ask_openai = {"model": "a", "messages": messages, "temperature": 0, "max_tokens": 50}
    texts = []
    with openai.OpenAI(base_url=f"{two.first.url}/v1", api_key=ADA) as client:
        for _ in range(2):
            stream: Any = client.chat.completions.create(
                **ask_openai, stream=True, stream_options={"include_usage": True}
            )
            chunks = list(stream)
            texts.append("".join(c.choices[0].delta.content or "" for c in chunks if c.choices))
            assert chunks[-1].usage.completion_tokens == 5
            time.sleep(0.2)
    before = asked(two)
    with anthropic.Anthropic(base_url=two.second.url, api_key=ADA) as client:
        with client.messages.stream(
            model="a", max_tokens=50, messages=messages, extra_body=EXACT
        ) as told:
            texts.append("".join(told.text_stream))
            assert told.get_final_message().usage.output_tokens == 5
            assert told.response.headers[CACHE] == "hit"
        whole: Any = client.messages.create(
            model="a", max_tokens=50, messages=messages, extra_body=EXACT
        )
        texts.append(whole.content[0].text)
    assert len(set(texts)) == 1
    assert asked(two) == before


def test_deletion_reaches_all_replicas(two: Two) -> None:
    """Of a caller's decisions, and of all answers."""
    for path, key in (("/v1/decisions?owner=ada", ADA), ("/v1/cache", ADMIN)):
        until(lambda: ask(two.second, "delete me").headers[CACHE] == "hit")
        assert deleted(two.first, path, key).json()["deleted"] > 0
        assert ask(two.second, "delete me").headers[CACHE] == "miss"


def test_a_redis_that_dies_costs_no_answer(two: Two) -> None:
    """Requests are answered without the cache, and none waits long."""
    until(lambda: ask(two.first, "dying").headers[CACHE] == "hit")
    two.redis.process.send_signal(signal.SIGSTOP)  # it hangs: worse than a refused connection
    try:
        began = time.monotonic()
        answers = [ask(two.first, "dying") for _ in range(3)]
        assert [each.status_code for each in answers] == [200] * 3
        assert "bypass" in {each.headers[CACHE] for each in answers}
        assert time.monotonic() - began < 20
    finally:
        two.redis.process.send_signal(signal.SIGCONT)
    until(lambda: ask(two.first, "dying").headers[CACHE] == "hit")
    two.redis.process.kill()
    two.redis.process.wait()
    for number in range(10):
        answer = ask(two.second, f"dead {number % 2}")
        assert answer.status_code == 200, answer.text
    refused = deleted(two.first, "/v1/decisions?owner=ada", ADA)
    assert refused.status_code == 503, "cached answers may not outlive their decisions unnoticed"
