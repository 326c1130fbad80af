"""What a preset makes of a call."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from collegium.experts.clients.factory import ClientsByKind
from collegium.experts.clients.reply import Call
from collegium.experts.dispatch.in_flight import place_of
from collegium.experts.pool import Pool
from collegium.experts.presets import completed, with_preset
from collegium.registry.expert import Expert

QWEN = Expert("qwen", "openai", "qwen", base_url="http://127.0.0.1:9/v1")
ASKED = {"role": "user", "content": "Why?"}


def applied(preset: dict[str, Any], *messages: dict[str, Any], **body: Any) -> dict[str, Any]:
    """A body after a preset."""
    found = completed({"messages": list(messages or (ASKED,)), **body}, {"body": {}, **preset})
    return dict(found)


def test_an_expert_without_a_preset_is_asked_as_it_is() -> None:
    """The very call."""
    call = Call(QWEN, {"messages": [ASKED]})
    assert with_preset(call) is call


def test_defaults_stand_where_the_request_sets_nothing() -> None:
    """Its own fields win; null sets nothing."""
    defaults = {"body": {"temperature": 0.2, "reasoning_effort": "high", "top_p": 0.9}}
    found = applied(defaults, temperature=1.0, top_p=None, seed=3)
    assert found == {
        "messages": [ASKED],
        "temperature": 1.0,
        "reasoning_effort": "high",
        "top_p": 0.9,
        "seed": 3,
    }


@pytest.mark.parametrize("own", ["max_tokens", "max_completion_tokens"])
@pytest.mark.parametrize("default", ["max_tokens", "max_completion_tokens"])
def test_a_limit_of_the_request_wins_under_either_name(own: str, default: str) -> None:
    """Servers refuse both at once."""
    assert applied({"body": {default: 500}}, **{own: 8}) == {"messages": [ASKED], own: 8}
    assert applied({"body": {default: 500}})[default] == 500


def test_a_system_prompt_comes_before_the_requests_own() -> None:
    """In one message, for many chat templates refuse two."""
    ours = {"system": "Be brief."}
    assert applied(ours)["messages"] == [{"role": "system", "content": "Be brief."}, ASKED]
    own = {"role": "system", "content": "Speak French."}
    (first, rest) = applied(ours, own, ASKED)["messages"]
    assert (first, rest) == ({"role": "system", "content": "Be brief.\n\nSpeak French."}, ASKED)
    parts = {"role": "developer", "content": [{"type": "text", "text": "Speak French."}]}
    first = applied(ours, parts, ASKED)["messages"][0]
    assert first["role"] == "developer"
    assert [part["text"] for part in first["content"]] == ["Be brief.\n\n", "Speak French."]


def test_a_template_goes_around_the_last_message_of_the_user() -> None:
    """Earlier messages and other braces stay."""
    preset = {"template": "Question: {prompt}\nAnswer as {json}."}
    before = {"role": "user", "content": "Hi"}
    call: dict[str, Any] = {"role": "assistant", "content": None, "tool_calls": []}
    tool = {"role": "tool", "content": "42"}
    found = applied(preset, before, {"role": "assistant", "content": "Hi"}, ASKED, call, tool)
    texts = [message["content"] for message in found["messages"]]
    assert texts == ["Hi", "Hi", "Question: Why?\nAnswer as {json}.", None, "42"]


def test_a_template_goes_around_all_parts_of_a_message() -> None:
    """Images stay where they are."""
    image = {"type": "image_url", "image_url": {"url": "data:,"}}
    content = [{"type": "text", "text": "Why?"}, image]
    (message,) = applied({"template": "Q: {prompt}"}, {"role": "user", "content": content})[
        "messages"
    ]
    assert message["content"] == [{"type": "text", "text": "Q: "}, *content]


def test_the_requests_messages_are_not_changed() -> None:
    """Another expert may be asked with them next."""
    messages = [{"role": "system", "content": "a"}, {"role": "user", "content": "b"}]
    body = {"messages": messages}
    completed(body, {"body": {}, "system": "s", "template": "t {prompt}"})
    assert body == {
        "messages": [{"role": "system", "content": "a"}, {"role": "user", "content": "b"}]
    }


@pytest.mark.parametrize(
    "base",
    [
        QWEN,
        Expert("gpt", "litellm", "openai/gpt-4o-mini"),
    ],
)
async def test_a_preset_shares_its_bases_client_place_and_circuit(base: Expert) -> None:
    """One endpoint is one: its slots, its failures, its connections."""
    think = replace(base, name="think", preset={"base": base.name, "body": {"temperature": 0}})
    clients = ClientsByKind({}, timeout_s=1.0)
    pool = Pool({}, timeout_s=1.0, clients=clients)
    assert clients.of(think) is clients.of(base)
    assert pool.spot(think) == pool.spot(base)
    assert place_of(think) == place_of(base)
    await clients.follow([think])
    assert clients.of(base) is clients.of(think)
    await pool.aclose()
