"""Hosted models through LiteLLM, against a real server: answers, errors, and what stays ours."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from typing import Any

import pytest

from collegium.errors import (
    CapabilityMissing,
    CollegiumError,
    ExpertError,
    ExpertMisconfigured,
    ExpertRejected,
    ExpertTimeout,
    ExpertUnavailable,
    ModelGone,
    PromptTooLong,
    RateLimited,
)
from collegium.experts.clients.events import Json
from collegium.experts.clients.litellm import LiteLLMExpert
from collegium.experts.clients.reply import Call
from collegium.registry.expert import Expert
from tests.experts.api_server import ApiServer

# What LiteLLM and Pydantic have to settle between themselves.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*ReadOnly.*:UserWarning"),
    pytest.mark.filterwarnings("ignore:Accessing the 'model_.*:DeprecationWarning"),
]

BODY = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 8}


def expert(api: ApiServer, model: str = "tiny", **options: Any) -> LiteLLMExpert:
    """A model on the test's server, as LiteLLM names it."""
    options = {"base_url": api.url, "api_key": "s3cret", **options}
    return LiteLLMExpert("hosted", f"openai/{model}", **options)


HOSTED = Expert("hosted", "litellm", "openai/tiny")


async def whole(client: LiteLLMExpert, body: Json = BODY) -> Json:
    """One whole answer."""
    async with client.ask(Call(HOSTED, body)) as reply:
        await reply.begin("hosted")
        return (await reply.whole()).body()


async def streamed(client: LiteLLMExpert, body: Json = BODY) -> Json:
    """One streamed answer, put together."""
    async with client.ask(Call(HOSTED, body, stream=True)) as reply:
        await reply.begin("hosted")
        return (await reply.whole()).body()


Asking = Callable[..., Any]
both_ways = pytest.mark.parametrize("ask", [whole, streamed])


async def test_a_whole_answer_has_the_shape_of_openai(api: ApiServer) -> None:
    """Text, reason to finish and usage, as plain JSON."""
    answer = await whole(expert(api))
    (choice,) = answer["choices"]
    assert choice["message"]["content"] == "Hello from tiny"
    assert choice["finish_reason"] == "stop"
    assert (answer["usage"]["prompt_tokens"], answer["usage"]["completion_tokens"]) == (3, 2)


async def test_the_provider_gets_our_key_and_the_callers_options(api: ApiServer) -> None:
    """The model under the provider's own name."""
    await whole(expert(api), {**BODY, "temperature": 0.5, "stop": ["."]})
    ((path, headers, body),) = api.requests
    assert (path, headers["authorization"]) == ("/v1/chat/completions", "Bearer s3cret")
    assert body["model"] == "tiny"
    assert (body["temperature"], body["stop"], body["max_tokens"]) == (0.5, ["."], 8)


async def test_a_stream_has_the_shape_of_openai(api: ApiServer) -> None:
    """Text in pieces, a reason to finish, and the usage at the end."""
    answer = await streamed(expert(api))
    (choice,) = answer["choices"]
    assert choice["message"]["content"] == "Hello"
    assert choice["finish_reason"] == "stop"
    assert answer["usage"]["completion_tokens"] == 2


@both_ways
@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("400", ExpertRejected),
        ("404", ModelGone),
        ("422", ExpertRejected),
        ("429", RateLimited),
        ("401", ExpertMisconfigured),
        ("403", ExpertMisconfigured),
        ("500", ExpertUnavailable),
        ("503", ExpertUnavailable),
        ("too-long", PromptTooLong),
    ],
)
async def test_a_refusal_becomes_our_error(
    ask: Asking, api: ApiServer, model: str, kind: type[CollegiumError]
) -> None:
    """Of the same kind as from an endpoint without LiteLLM, and asked once only."""
    with pytest.raises(CollegiumError) as info:
        await ask(expert(api, model))
    assert type(info.value) is kind
    assert "s3cret" not in str(info.value)
    assert len(api.requests) == 1


@both_ways
async def test_a_slow_provider_is_a_timeout(ask: Asking, api: ApiServer) -> None:
    """After the time that the settings give."""
    with pytest.raises(ExpertTimeout, match="no answer in time"):
        await ask(expert(api, "slow", timeout_s=0.3))


@both_ways
async def test_a_provider_that_is_not_there_is_unavailable(ask: Asking, api: ApiServer) -> None:
    """On a port where nobody listens."""
    with pytest.raises(ExpertUnavailable, match="expert 'hosted'"):
        await ask(expert(api, base_url="http://127.0.0.1:9/v1"))


@both_ways
async def test_a_provider_that_litellm_does_not_know_is_our_error(
    ask: Asking, api: ApiServer
) -> None:
    """A misspelt name is no crash."""
    client = LiteLLMExpert("hosted", "nobody-knows-it", base_url=api.url, api_key="s3cret")
    with pytest.raises(ExpertError, match="expert 'hosted'"):
        await ask(client)


async def test_an_error_in_a_stream_is_our_error(api: ApiServer) -> None:
    """After the chunks that came before it."""
    with pytest.raises(ExpertError) as info:
        await streamed(expert(api, "error-event"))
    assert "out of memory" in info.value.detail


async def test_an_answer_without_choices_is_an_error(api: ApiServer) -> None:
    """Nobody after us has to doubt an answer's shape."""
    with pytest.raises(ExpertError, match="expert 'hosted'"):
        await whole(expert(api, "shapeless"))


async def test_closing_the_iterator_hangs_up(api: ApiServer) -> None:
    """The provider notices at its next write, and stops to generate what nobody reads."""
    async with expert(api, "endless").ask(Call(HOSTED, BODY, stream=True)) as reply:
        await reply.begin("hosted")
    assert await asyncio.to_thread(api.hung_up.wait, 10)


@both_ways
@pytest.mark.parametrize(
    "field", ["base_url", "api_base", "api_key", "fallbacks", "mock_response", "extra_headers"]
)
async def test_a_caller_can_not_reach_into_litellm(ask: Asking, api: ApiServer, field: str) -> None:
    """`base_url` would send our key to whoever asks for it."""
    asked = {**BODY, field: "http://127.0.0.1:9/v1"}
    with pytest.raises(ExpertRejected, match=f"takes no parameter {field}"):
        await ask(expert(api), asked)
    assert api.requests == []


@both_ways
async def test_what_litellm_does_not_pass_on_is_dropped_and_named(
    ask: Asking, api: ApiServer
) -> None:
    """Where the answer does not depend on it."""
    body = {**BODY, "store": True, "metadata": {"a": "b"}, "top_k": 5, "prompt_cache_key": "x"}
    async with expert(api).ask(Call(HOSTED, body, stream=ask is streamed)) as reply:
        await reply.begin("hosted")
        assert reply.began.dropped == ("metadata", "prompt_cache_key", "store", "top_k")
        await reply.whole()
    ((_, _, sent),) = api.requests
    assert not sent.keys() & {"store", "metadata", "top_k", "prompt_cache_key"}


async def test_what_the_answer_depends_on_is_another_experts(api: ApiServer) -> None:
    """It is not asked at all."""
    with pytest.raises(CapabilityMissing, match="takes no parameter guided_json"):
        await whole(expert(api), {**BODY, "guided_json": {"type": "object"}})
    assert api.requests == []


async def test_a_parameter_that_the_provider_lacks_is_missing(api: ApiServer) -> None:
    """LiteLLM knows which provider takes what, and refuses by itself."""
    client = LiteLLMExpert("hosted", "anthropic/claude-3-haiku", base_url=api.url, api_key="k")
    with pytest.raises(CapabilityMissing) as info:
        await whole(client, {**BODY, "logit_bias": {"1": 2}})
    assert info.value.capability == info.value.param == "logit_bias"
    assert api.requests == []


@both_ways
async def test_an_answer_has_a_size(ask: Asking, api: ApiServer) -> None:
    """As with experts that are asked without LiteLLM."""
    with pytest.raises(ExpertError, match="too large"):
        await ask(expert(api, most_bytes=100))


def test_nothing_but_the_provider_is_asked_and_nothing_is_printed(api: ApiServer) -> None:
    """No price list from the internet, no statistics, no advice on the terminal."""
    script = f"""
        import asyncio
        from collegium.errors import ExpertUnavailable
        from collegium.experts.clients.litellm import LiteLLMExpert
        from collegium.experts.clients.reply import Call
        from collegium.registry.expert import Expert

        async def main():
            call = Call(Expert("h", "litellm", "openai/tiny"), {BODY!r})
            tiny = LiteLLMExpert("h", "openai/tiny", base_url={api.url!r}, api_key="k")
            async with tiny.ask(call) as reply:
                await reply.begin("h")
            broken = LiteLLMExpert("h", "openai/500", base_url={api.url!r}, api_key="k")
            try:
                async with broken.ask(call):
                    pass
            except ExpertUnavailable:
                pass

        asyncio.run(main())
    """
    # Whatever wants to leave the machine has to pass by the test's server.
    proxy = api.url.removesuffix("/v1")
    proxies = {"HTTPS_PROXY": proxy, "HTTP_PROXY": proxy, "NO_PROXY": "127.0.0.1"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env=os.environ | proxies,
        capture_output=True,
        text=True,
        check=True,
    )
    assert [path for path, _, _ in api.requests] == ["/v1/chat/completions"] * 2
    assert (done.stdout, done.stderr) == ("", "")
