"""Taking experts in: each is checked and asked first, and a refusal changes nothing."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from collegium.errors import CollegiumError, ExpertExists, ProbeFailed
from collegium.experts.enrol import Enrolment
from collegium.experts.pool import Pool
from collegium.experts.roster import ENGINE
from collegium.experts.vllm import MOST_LORA_RANK
from collegium.registry.expert import Expert
from collegium.registry.experts import ExpertRegistry
from tests.unit.experts.api_server import ApiServer, api_server
from tests.unit.experts.engines import stub_engine


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    """A pool that runs no engine."""
    pool = Pool({}, timeout_s=10.0)
    yield pool
    await pool.aclose()


@pytest.fixture
def enrolment(registry: ExpertRegistry, pool: Pool) -> Enrolment:
    """Enrols into an empty registry."""
    return Enrolment(registry, pool)


@pytest.fixture
def remote(api: ApiServer) -> Expert:
    """An expert on the test's server."""
    return Expert("gpt", "openai", "tiny", base_url=api.url)


async def refused(enrolment: Enrolment, registry: ExpertRegistry, expert: Expert) -> str:
    """Enrol what has to be refused; return why it was. The registry must not change."""
    before, revision = await registry.list(), await registry.revision()
    with pytest.raises(ProbeFailed) as info:
        await enrolment.add(expert)
    assert (await registry.list(), await registry.revision()) == (before, revision)
    return str(info.value)


async def test_an_expert_is_asked_and_then_registered(
    enrolment: Enrolment, registry: ExpertRegistry, remote: Expert
) -> None:
    """The report says what it answered and how fast."""
    expert, report = await enrolment.add(remote)
    assert await registry.get("gpt") == expert == remote
    assert (report.answered, report.answer) == (True, "Hello from tiny")
    assert report.latency_ms is not None
    assert report.latency_ms > 0


@pytest.mark.parametrize(
    "name",
    ["", "auto", "collegium", "a/b", "-a", ".a", "a b", "a\n", "ü", "a" * 65, "collegium/auto"],
)
async def test_a_name_that_would_not_work_is_refused(
    enrolment: Enrolment, registry: ExpertRegistry, remote: Expert, name: str
) -> None:
    """Before anybody is asked anything."""
    assert "can't name an expert" in await refused(enrolment, registry, replace(remote, name=name))


@pytest.mark.parametrize("name", ["a", "gpt-5.1_mini", "7B", "a" * 64])
async def test_a_good_name_is_taken(
    enrolment: Enrolment, registry: ExpertRegistry, remote: Expert, name: str
) -> None:
    """Letters, digits, dots, underlines and hyphens."""
    await enrolment.add(replace(remote, name=name))
    assert (await registry.get(name)).name == name


async def test_a_name_is_given_once(
    enrolment: Enrolment, registry: ExpertRegistry, remote: Expert, api: ApiServer
) -> None:
    """The second is refused without being asked."""
    await enrolment.add(remote)
    asked = len(api.requests)
    with pytest.raises(ExpertExists, match="'gpt' exists already"):
        await enrolment.add(replace(remote, description="another"))
    assert len(api.requests) == asked
    assert (await registry.get("gpt")).description == ""


@pytest.mark.parametrize(
    "url",
    [
        None,
        "",
        "127.0.0.1:8000/v1",
        "ftp://host/v1",
        "http://",
        "http://[::1/v1",
        "http://host:port/v1",
        "http://host:99999/v1",
        "file:///etc/passwd",
    ],
)
async def test_an_address_that_is_none_is_refused(
    enrolment: Enrolment, registry: ExpertRegistry, remote: Expert, url: str | None
) -> None:
    """The message says how an address looks."""
    told = await refused(enrolment, registry, replace(remote, base_url=url))
    assert "give it as http://HOST:PORT/v1" in told


async def test_an_address_where_nobody_answers_is_refused(
    enrolment: Enrolment, registry: ExpertRegistry, remote: Expert
) -> None:
    """Better now than at the first query."""
    told = await refused(enrolment, registry, replace(remote, base_url="http://127.0.0.1:9/v1"))
    assert "does not answer GET /models" in told
    assert "can't connect" in told


async def test_the_only_model_of_an_endpoint_need_not_be_named(
    enrolment: Enrolment, remote: Expert
) -> None:
    """Its name is taken from the endpoint."""
    expert, _ = await enrolment.add(replace(remote, model=""))
    assert expert.model == "tiny"


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("", "serves large, tiny: name one with --model"),
        ("huge", "serves no model 'huge'; it serv"),
    ],
)
async def test_of_several_models_one_has_to_be_named(
    enrolment: Enrolment, registry: ExpertRegistry, remote: Expert, model: str, told: str
) -> None:
    """The message lists them."""
    with api_server(["large", "tiny"]) as server:
        expert = replace(remote, base_url=server.url, model=model)
        assert told in await refused(enrolment, registry, expert)


async def test_an_endpoint_without_models_is_refused(
    enrolment: Enrolment, registry: ExpertRegistry, remote: Expert
) -> None:
    """There is nothing to ask."""
    with api_server([]) as server:
        expert = replace(remote, base_url=server.url, model="")
        assert "serves none" in await refused(enrolment, registry, expert)


@pytest.mark.parametrize("model", ["500", "shapeless"])
async def test_an_endpoint_that_lists_a_model_but_does_not_answer_is_refused(
    enrolment: Enrolment, registry: ExpertRegistry, remote: Expert, model: str
) -> None:
    """A list is no proof."""
    with api_server([model]) as server:
        expert = replace(remote, base_url=server.url, model=model)
        assert "'gpt' did not answer" in await refused(enrolment, registry, expert)


async def test_after_a_refusal_the_next_address_is_the_one_that_is_asked(
    enrolment: Enrolment, registry: ExpertRegistry, remote: Expert
) -> None:
    """Nothing of the failed attempt is kept, not even a connection."""
    with api_server(["500"]) as broken:
        wrong = replace(remote, base_url=broken.url, model="500")
        await refused(enrolment, registry, wrong)
        _, report = await enrolment.add(remote)
    assert report.answer == "Hello from tiny"


@pytest.mark.parametrize("key", [None, "", "  ", "not\nfit", "schlüssel"])
async def test_a_key_that_is_not_there_or_can_not_be_sent_is_refused(
    enrolment: Enrolment,
    registry: ExpertRegistry,
    remote: Expert,
    monkeypatch: pytest.MonkeyPatch,
    key: str | None,
) -> None:
    """The message names the variable and never the key."""
    monkeypatch.delenv("THE_KEY", raising=False)
    if key is not None:
        monkeypatch.setenv("THE_KEY", key)
    told = await refused(enrolment, registry, replace(remote, api_key_env="THE_KEY"))
    assert "environment variable THE_KEY" in told
    assert not (key and key.strip()) or key not in told


async def test_a_key_is_sent_without_the_newline_that_its_file_had(
    enrolment: Enrolment, remote: Expert, api: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an environment made from a secret's file often has it."""
    monkeypatch.setenv("THE_KEY", "s3cret\n")
    await enrolment.add(replace(remote, api_key_env="THE_KEY"))
    assert {headers["authorization"] for _, headers, _ in api.requests} == {"Bearer s3cret"}


def adapter(folder: Path, *, config: Any = None, weights: str = "adapter_model.safetensors") -> str:
    """A folder like that of a LoRA adapter; return its path."""
    folder.mkdir()
    (folder / weights).write_bytes(b"weights")
    text = config if isinstance(config, str) else json.dumps(config or LORA)
    (folder / "adapter_config.json").write_text(text)
    return str(folder)


LORA = {"peft_type": "LORA", "r": 4}


def lora(path: str | None) -> Expert:
    """A LoRA adapter on the engine of the tests."""
    return Expert("mine", "lora", "mine", engine=ENGINE, adapter=path)


async def test_an_adapter_is_loaded_asked_and_registered(
    registry: ExpertRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its folder is registered as an absolute path."""
    adapter(tmp_path / "lora")
    (tmp_path / "engine").mkdir()
    monkeypatch.chdir(tmp_path)
    async with stub_engine(tmp_path / "engine") as engine:
        await engine.ready()
        pool = Pool({ENGINE: engine.supervisor}, timeout_s=10.0)
        expert, report = await Enrolment(registry, pool).add(lora("lora"))
        await pool.aclose()

    assert report.answered
    assert expert.adapter == str((tmp_path / "lora").resolve())
    requests = (tmp_path / "engine" / "requests").read_text().splitlines()
    (load, body), (ask, asked) = map(json.loads, requests)
    assert (load, ask) == ("/v1/load_lora_adapter", "/v1/chat/completions")
    assert body["lora_path"] == expert.adapter
    assert asked["model"] == body["lora_name"] != "mine"


@pytest.mark.parametrize("weights", ["adapter_model.bin", "adapter_model.pt"])
async def test_pickled_weights_are_never_loaded(
    enrolment: Enrolment, registry: ExpertRegistry, tmp_path: Path, weights: str
) -> None:
    """A pickle can run anything."""
    path = adapter(tmp_path / "lora", weights=weights)
    told = await refused(enrolment, registry, lora(path))
    assert "has no adapter_model.safetensors (weights in pickles" in told


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ("{", "no usable adapter_config.json"),
        ("[]", "no usable adapter_config.json"),
        ({"r": 4}, "KeyError: 'peft_type'"),
        ({"peft_type": "LORA"}, "KeyError: 'r'"),
        ({"peft_type": "LORA", "r": "many"}, "no usable adapter_config.json"),
        ('{"peft_type": "LORA", "r": Infinity}', "no usable adapter_config.json"),
        ({"peft_type": "IA3", "r": 4}, "of type IA3, not LORA"),
        ({"peft_type": "LORA", "r": MOST_LORA_RANK + 1}, f"takes 1 to {MOST_LORA_RANK}"),
        ({"peft_type": "LORA", "r": 0}, "has rank 0"),
    ],
)
async def test_an_adapter_that_the_engine_could_not_load_is_refused(
    enrolment: Enrolment, registry: ExpertRegistry, tmp_path: Path, config: Any, told: str
) -> None:
    """From its configuration, before the engine is troubled."""
    path = adapter(tmp_path / "lora", config=config)
    assert told in await refused(enrolment, registry, lora(path))


@pytest.mark.parametrize("path", [None, "nowhere", "builtin:nothing", "bad\0name"])
async def test_an_adapter_folder_that_is_not_there_is_refused(
    enrolment: Enrolment, registry: ExpertRegistry, path: str | None
) -> None:
    """The message says where it was looked for."""
    assert "there is no adapter folder" in await refused(enrolment, registry, lora(path))


async def test_an_adapter_needs_an_engine(
    enrolment: Enrolment, registry: ExpertRegistry, tmp_path: Path
) -> None:
    """It can't run alone."""
    expert = replace(lora(adapter(tmp_path / "lora")), engine=None)
    assert "needs the engine" in await refused(enrolment, registry, expert)


async def test_an_engine_that_does_not_exist_is_refused(
    enrolment: Enrolment, registry: ExpertRegistry, tmp_path: Path
) -> None:
    """A misspelt engine would never come."""
    expert = replace(lora(adapter(tmp_path / "lora")), engine="embeded")
    told = await refused(enrolment, registry, expert)
    assert "there is no engine 'embeded'; there is embedded" in told


async def test_where_no_engine_runs_an_adapter_is_registered_unasked(
    enrolment: Enrolment, tmp_path: Path
) -> None:
    """The command line may register for a service that does not run; the report says so."""
    _, report = await enrolment.add(lora(adapter(tmp_path / "lora")))
    assert not report.answered
    assert "not running here" in report.note


async def test_an_adapter_that_the_engine_refuses_is_not_registered(
    registry: ExpertRegistry, tmp_path: Path
) -> None:
    """With the engine's words."""
    (tmp_path / "engine").mkdir()
    async with stub_engine(tmp_path / "engine", "no-adapters") as engine:
        await engine.ready()
        pool = Pool({ENGINE: engine.supervisor}, timeout_s=10.0)
        expert = lora(adapter(tmp_path / "lora"))
        told = await refused(Enrolment(registry, pool), registry, expert)
        await pool.aclose()
    assert "no such adapter" in told


async def test_an_engine_that_still_starts_says_so(
    registry: ExpertRegistry, tmp_path: Path
) -> None:
    """Then the adapter can't be asked, and is not registered yet."""
    (tmp_path / "engine").mkdir()
    async with stub_engine(tmp_path / "engine", "never") as engine:
        pool = Pool({ENGINE: engine.supervisor}, timeout_s=10.0)
        with pytest.raises(CollegiumError, match="'stub' is"):
            await Enrolment(registry, pool).add(lora(adapter(tmp_path / "lora")))
    assert await registry.list() == ()
