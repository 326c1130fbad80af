"""Presets in the registry: what they have of their base, and what can't be set."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from collegium.errors import ExpertNotFound, RegistryError
from collegium.registry.expert import Expert
from collegium.registry.experts import ExpertRegistry
from collegium.registry.presets import digest_of, preset_of
from collegium.router.forecasting import fingerprint, known_as

QWEN = Expert(
    "qwen",
    "openai",
    "qwen3-8b",
    base_url="http://127.0.0.1:9/v1",
    input_price=0.1,
    output_price=0.4,
    context_window=32_768,
    tags=("eu",),
    prior=0.6,
)


def like(base: Expert, settings: dict[str, Any], name: str = "think", **fields: Any) -> Expert:
    """A preset as it is registered."""
    raw = {"input_price": None, "output_price": None, "prior": None, "tags": ()}
    return replace(base, name=name, preset=preset_of(base, settings), **(raw | fields))


THINK = like(QWEN, {"reasoning_effort": "high"})


def test_fields_are_of_the_body_unless_they_are_texts_of_ours() -> None:
    """`extra_body` is spread, as OpenAI's SDK does."""
    found = preset_of(
        QWEN,
        {
            "reasoning_effort": "high",
            "body": {"temperature": 0.2},
            "extra_body": {"top_k": 5},
            "system": "Be brief.",
            "template": "Q: {prompt}\nA:",
        },
    )
    assert found == {
        "base": "qwen",
        "body": {"reasoning_effort": "high", "temperature": 0.2, "top_k": 5},
        "system": "Be brief.",
        "template": "Q: {prompt}\nA:",
    }


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "sets something"),
        ({"body": {}}, "sets something"),
        ({"model": "other"}, "can't set model"),
        ({"body": {"messages": [], "stream": True}}, "can't set messages, stream"),
        ({"system": 3}, "are texts"),
        ({"system": ""}, "sets something"),
        ({"template": "no place"}, "{prompt} once"),
        ({"template": "{prompt} and {prompt}"}, "{prompt} once"),
        ({"body": 3}, "must be JSON objects"),
        ({"extra_body": []}, "must be JSON objects"),
        ({"top_k": float("nan")}, "are JSON"),
        ({"temperature": float("nan")}, "temperature must be a number from 0 to 2"),
        ({"temperature": "hot"}, "temperature must be a number from 0 to 2"),
        ({"temperature": 2.1}, "temperature must be a number from 0 to 2"),
        ({"temperature": True}, "temperature must be a number from 0 to 2"),
        ({"body": {"top_p": 0}}, "top_p must be a number greater than 0"),
        ({"frequency_penalty": "1"}, "frequency_penalty must be a number"),
        ({"seed": 1.0}, "seed must be an integer"),
        ({"seed": 2**63}, "seed must be an integer"),
        ({"stop": ["a", 1]}, "stop must be a string or a list of strings"),
        ({"tools": 5}, "tools must be a list of objects"),
        ({"tools": ["a"]}, "tools must be a list of objects"),
        ({"tool_choice": []}, "tool_choice must be a string or an object"),
        ({"parallel_tool_calls": "no"}, "parallel_tool_calls must be true or false"),
        ({"response_format": "json"}, "response_format must be an object"),
        ({"extra_body": {"reasoning_effort": 3}}, "reasoning_effort must be a string"),
        ({"max_tokens": -5}, "max_tokens must be"),
        ({"max_tokens": "100"}, "max_tokens must be"),
        ({"max_completion_tokens": True, "max_tokens": 9}, "max_completion_tokens must be"),
        ({"extra_body": {"max_tokens": 1.5}}, "max_tokens must be"),
    ],
)
def test_what_no_call_could_be_made_with_is_refused(settings: dict[str, Any], words: str) -> None:
    """Before anybody is asked."""
    with pytest.raises(RegistryError, match=words):
        preset_of(QWEN, settings)


def test_a_preset_of_a_preset_is_refused() -> None:
    """The message names whose it has to be."""
    with pytest.raises(RegistryError, match="base this one on 'qwen'"):
        preset_of(THINK, {"temperature": 0})


async def test_a_preset_is_what_its_base_is_now(experts: ExpertRegistry) -> None:
    """Address, model, context, tags and price follow, also those that change later."""
    await experts.register(QWEN)
    await experts.register(THINK)
    found = await experts.get("think")
    assert found == replace(QWEN, name="think", preset=THINK.preset)
    assert (await experts.list())[1] == found
    changes = {"base_url": "http://127.0.0.1:8/v1", "output_price": 0.8, "tags": ("us",)}
    await experts.update("qwen", **changes)
    found = await experts.get("think")
    assert (found.base_url, found.output_price, found.tags) == tuple(changes.values())


async def test_a_preset_keeps_what_is_its_own(experts: ExpertRegistry) -> None:
    """A stated price, its levels, tags beside the base's; `None` is the base's again."""
    await experts.register(QWEN)
    await experts.register(like(QWEN, {"temperature": 0}, output_price=0.9, tags=("slow",)))
    changed = await experts.update("think", skills={"sql": 0.9}, prior=0.8)
    await experts.update("qwen", output_price=0.5)
    found = await experts.get("think")
    assert (found.output_price, found.input_price, found.prior) == (0.9, 0.1, 0.8)
    assert (changed.skills, changed.tags) == ({"sql": 0.9}, ("eu", "slow"))
    again = await experts.update("think", output_price=None, prior=None)
    assert (again.output_price, again.prior) == (0.5, 0.6)


async def test_a_preset_on_an_engine_of_ours_costs_what_its_base_costs(
    experts: ExpertRegistry,
) -> None:
    """0 unless the base has a price."""
    coder = Expert("coder", "engine", "coder", engine="coder")
    await experts.register(coder)
    await experts.register(like(coder, {"temperature": 0}))
    assert (await experts.get("think")).output_price == 0.0
    await experts.update("coder", output_price=0.3)
    assert (await experts.get("think")).output_price == 0.3


async def test_a_base_is_not_removed_from_under_its_presets(experts: ExpertRegistry) -> None:
    """Unless they go with it."""
    for expert in (QWEN, THINK, like(QWEN, {"temperature": 0}, name="calm")):
        await experts.register(expert)
    with pytest.raises(RegistryError, match=r"base of the presets calm, think: .*--with-presets"):
        await experts.remove("qwen")
    assert len(await experts.list()) == 3
    await experts.remove("think")
    await experts.remove("qwen", with_presets=True)
    assert await experts.list() == ()


async def test_a_preset_needs_its_base(experts: ExpertRegistry) -> None:
    """That is registered."""
    with pytest.raises(ExpertNotFound, match="qwen"):
        await experts.register(THINK)


def test_outcomes_belong_to_the_settings() -> None:
    """What was measured of the base, or of other settings, is not this preset's."""
    calm = like(QWEN, {"temperature": 0})
    assert len({fingerprint(e) for e in (QWEN, THINK, calm)}) == 3
    assert fingerprint(THINK) == fingerprint(replace(THINK, name="other"))
    assert known_as(QWEN, {"named:qwen3-8b": 0}) == "named:qwen3-8b"
    assert known_as(THINK, {"named:qwen3-8b": 0}) == "named:think"
    assert THINK.preset is not None
    assert digest_of(THINK.preset) == digest_of({**THINK.preset, "base": "renamed"})
