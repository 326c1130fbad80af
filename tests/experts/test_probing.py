"""What a probe finds out, and what it costs; what can't be told stays unknown."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from collegium.errors import ProbeFailed
from collegium.experts.model_info import from_files, from_price_list, from_row
from collegium.experts.registration import Registration
from collegium.experts.trials import trials
from collegium.registry.capabilities import takes
from collegium.registry.expert import Expert
from collegium.registry.experts import ExpertRegistry
from tests.experts.able_server import able_server
from tests.experts.scripted_server import Raw, Request, response, scripted

EVERYTHING = (
    *("images", "files", "tools", "parallel_tools", "json_schema", "json_object", "logprobs"),
    *("n", "developer_role", "reasoning", "max_tokens", "completions", "embeddings", "messages"),
)


def at(url: str, **fields: Any) -> Expert:
    return Expert("it", "openai", "m", base_url=url, **fields)


async def test_what_an_upstream_takes_is_found_out(registration: Registration) -> None:
    """Asked, not assumed; sound is taken, but nothing tells whether it was heard."""
    async with able_server(*EVERYTHING, "audio") as server:
        expert, report = await registration.register(at(server.url), context_stated=False)
    yes = [name for name, told in report.capabilities.items() if told is True]
    assert yes == [
        *("images", "files", "tools", "parallel_tools", "json_schema", "json_object"),
        *("developer_role", "logprobs", "reasoning", "n"),
    ]
    assert takes(expert, "audio") is None
    served = report.capabilities["endpoints"]
    assert [name for name, told in served.items() if told] == [
        *("chat", "completions", "embeddings", "messages"),
    ]
    assert [name for name, told in served.items() if told is False] == ["rerank", "responses"]


@pytest.mark.parametrize("status", [400, 404, 422, 501])
async def test_what_an_upstream_refuses_is_missing(registration: Registration, status: int) -> None:
    """By whichever status it says so."""
    async with able_server("max_tokens", status=status) as server:
        expert, _ = await registration.register(at(server.url))
    asked = ("images", "audio", "files", "tools", "json_schema", "logprobs", "n", "reasoning")
    missing = None if status == 501 else False  # by that, a server says that it failed
    assert [takes(expert, name) for name in asked] == [missing] * len(asked)


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_failure_says_nothing_of_what_is_taken(
    registration: Registration, status: int
) -> None:
    """Nor does it count against the expert, which has just been registered."""
    async with able_server("max_tokens", status=status) as server:
        expert, _ = await registration.register(at(server.url))
        assert takes(expert, "images") is None
        assert (await registration.probe(expert)).answered


async def test_a_model_that_thinks_can_be_registered(registration: Registration) -> None:
    """It takes no temperature and no `max_tokens`, and has room to think before it answers."""
    async with able_server("reasoning", "max_completion_tokens", "tools") as server:
        expert, report = await registration.register(at(server.url))
        bodies = [r.json() for r in server.requests if r.path.endswith("chat/completions")]
    assert report.answered
    assert takes(expert, "reasoning")
    assert takes(expert, "tools")
    assert all("temperature" not in body for body in bodies)
    assert all(body["max_completion_tokens"] >= 1000 for body in bodies[1:])


async def test_a_probe_says_what_it_cost(registration: Registration) -> None:
    """Cents at most, also of a dear model: its answers get less room."""
    dear = {"input_price": 100.0, "output_price": 100.0}
    async with able_server(*EVERYTHING) as server:
        _, report = await registration.register(at(server.url, **dear))
        bodies = [r.json() for r in server.requests if r.path.endswith("chat/completions")]
    assert report.tokens == 15 * (len(bodies) - 1)  # one was refused
    assert report.cost_usd == pytest.approx(report.tokens * 100 / 1e6)
    assert {body["max_tokens"] for body in bodies[1:]} == {64}


async def test_what_is_told_for_free_is_not_asked(registration: Registration) -> None:
    """As OpenRouter's list does; and the window is the endpoint's own."""
    row = {
        "context_length": 4000,
        "architecture": {"input_modalities": ["text", "image"]},
        "supported_parameters": ["tools", "response_format"],
        "top_provider": {"max_completion_tokens": 1000},
    }
    async with able_server("max_tokens", row=row) as server:
        expert, report = await registration.register(at(server.url), context_stated=False)
        bodies = [r.json() for r in server.requests if r.path.endswith("chat/completions")]
    assert not any(body.get("tools") for body in bodies)
    told = [takes(expert, name) for name in ("images", "audio", "tools", "logprobs", "json_schema")]
    assert told == [True, False, True, False, False]
    assert expert.context_window == 4000
    assert report.looked_up["context_window"] == "the endpoint's list of models"
    assert report.capabilities["max_output_tokens"] == 1000
    assert report.capabilities["window_known"] is True


async def test_a_correction_by_hand_survives_a_new_probe(
    registration: Registration, registry: ExpertRegistry
) -> None:
    """And what was found before, and is not any more, is forgotten."""
    by_hand = {"capabilities": {"tools": False, "by_hand": ["tools"]}}
    async with able_server(*EVERYTHING, row={"max_model_len": 5000}) as server:
        await registration.register(at(server.url, **by_hand, context_window=3000))
        assert takes(await registry.get("it"), "tools") is False
        assert takes(await registry.get("it"), "images") is True
        again, _ = await registration.probe_again("it")
        assert again == await registry.get("it")
        assert again.version == 1
        assert again.context_window == 3000
    async with able_server("max_tokens", "tools") as server:
        await registry.update("it", base_url=server.url)
        again, report = await registration.probe_again("it")
    assert [takes(again, name) for name in ("tools", "images", "completions")] == [False] * 3
    assert report.capabilities["tools"] is False
    assert await registry.get("it") == again


async def test_who_only_embeds_can_be_registered(registration: Registration) -> None:
    """It is asked for no chats."""
    async with able_server("no_chat", "embeddings") as server:
        expert, report = await registration.register(at(server.url))
    assert report.note == "does not answer chats, but serves embeddings"
    served = [takes(expert, name) for name in ("chat", "embeddings", "rerank")]
    assert served == [False, True, False]
    async with able_server("no_chat") as server:
        with pytest.raises(ProbeFailed, match="did not answer its probe"):
            await registration.register(replace(at(server.url), name="other"))


@pytest.mark.parametrize(
    ("end", "status", "hinted"),
    [("", 404, True), ("/v1", 404, False), ("/v1/", 404, False), ("", 401, False)],
)
@pytest.mark.parametrize("lists", [False, True])
async def test_an_address_without_its_version_is_asked_about(
    registration: Registration, end: str, status: int, *, hinted: bool, lists: bool
) -> None:
    """Many servers answer 404 there, as they do for a model that is gone."""
    row = response(body={"data": [{"id": "m"}]})
    absent = response(status, body={})

    def respond(request: Request) -> Raw:
        return row if lists and request.path.endswith("/models") else absent

    async with scripted(respond) as server:
        url = server.url.removesuffix("/v1") + end
        with pytest.raises(ProbeFailed) as refused:
            await registration.register(at(url))
    assert ("does not end in /v1" in str(refused.value)) == hinted


@pytest.mark.parametrize(
    ("row", "window"),
    [
        ({"max_model_len": 10}, 10),
        ({"context_window": 10}, 10),
        ({"max_context_length": 10, "capabilities": {"vision": True}}, 10),
        ({"meta": {"n_ctx_train": 10}}, 10),
        ({"context_length": "10"}, None),
        ({"context_length": -1, "meta": 3, "top_provider": [], "architecture": "x"}, None),
        ({"context_length": 0, "capabilities": [], "supported_parameters": {"a": 1}}, None),
        ({}, None),
    ],
)
def test_a_window_is_read_in_every_shape(row: dict[str, Any], window: int | None) -> None:
    """And nothing of odd ones."""
    assert from_row(row).window == window


def test_mistrals_list_tells_of_sight_and_tools() -> None:
    """As true or false."""
    row = {"capabilities": {"vision": False, "function_calling": True, "fine_tuning": True}}
    assert from_row(row).capabilities == {"images": False, "tools": True}


def test_litellms_list_tells_of_models_that_are_asked_where_it_means() -> None:
    """A model of the same name on one's own machine may be another."""
    listed = from_price_list(Expert("a", "litellm", "openai/gpt-4o")).capabilities
    assert listed["images"] is True
    assert listed["max_output_tokens"] == 16_384
    direct = Expert("a", "openai", "o3-mini", base_url="https://api.openai.com/v1")
    assert from_price_list(direct).capabilities["images"] is False
    assert from_price_list(direct).capabilities["reasoning"] is True
    mine = replace(direct, base_url="http://127.0.0.1:8000/v1")
    assert from_price_list(mine).capabilities == {}


@pytest.mark.parametrize(
    ("config", "images"),
    [
        ({"architectures": ["LlamaForCausalLM"]}, False),
        ({"architectures": ["Qwen2VLForConditionalGeneration"], "vision_config": {}}, True),
        ({"architectures": ["OddForConditionalGeneration"]}, None),
        ([], None),
    ],
)
def test_a_models_files_tell_whether_it_sees(
    tmp_path: Path, config: Any, images: bool | None
) -> None:
    """Of models that we run ourselves."""
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert from_files(tmp_path).capabilities.get("images") is images
    assert from_files(tmp_path / "gone").capabilities == {}
    flags = ["--reasoning-parser=qwen3"]
    assert from_files(tmp_path, flags).capabilities["reasoning"] is True


def test_trials_are_small() -> None:
    """An image, a sound and a file made here, of a few kilobytes at most."""
    assert max(len(json.dumps(trial.messages)) for trial in trials()) < 12_000
