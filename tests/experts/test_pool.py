"""The pool: from a registry's expert to who answers, across changes, restarts and removals."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from collegium.errors import ExpertUnavailable
from collegium.experts.clients.reply import Call
from collegium.experts.pool import Pool
from collegium.registry.expert import Expert
from tests.experts.api_server import ApiServer, api_server
from tests.experts.engines import StubEngine, stub_engine

BODY = {"messages": [{"role": "user", "content": "Hi"}]}
BASE = Expert("base", "engine", "base", engine="stub")


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[StubEngine]:
    """A stub engine that is ready."""
    (tmp_path / "engine").mkdir()
    async with stub_engine(tmp_path / "engine") as engine:
        await engine.ready()
        yield engine


@pytest.fixture
async def local(engine: StubEngine) -> AsyncIterator[Pool]:
    """A pool on that engine."""
    pool = Pool({"stub": engine.supervisor}, timeout_s=10.0)
    yield pool
    await pool.aclose()


def remote(api: ApiServer, **fields: Any) -> Expert:
    """An expert on a server."""
    return replace(Expert("gpt", "openai", "tiny", base_url=api.url), **fields)


async def said(pool: Pool, expert: Expert) -> str:
    """What an expert answers."""
    async with pool.ask(Call(expert, BODY)) as reply:
        return (await reply.whole()).text


def loaded(engine: StubEngine) -> list[str]:
    """The names under which adapters were loaded into the engine, in order."""
    requests = map(json.loads, (engine.folder / "requests").read_text().splitlines())
    return [body["lora_name"] for path, body in requests if path == "/v1/load_lora_adapter"]


def adapter(folder: Path) -> Expert:
    """A LoRA expert with its folder."""
    folder.mkdir(exist_ok=True)
    (folder / "adapter_model.safetensors").write_bytes(b"weights")
    return Expert("mine", "lora", "mine", engine="stub", adapter=str(folder))


async def test_an_endpoint_answers_whole_and_streamed(pool: Pool, api: ApiServer) -> None:
    """Both ways lead to the same model."""
    assert await said(pool, remote(api)) == "Hello from tiny"
    async with pool.ask(Call(remote(api), BODY, stream=True)) as reply:
        assert (await reply.whole()).text == "Hello"


async def test_closing_a_stream_hangs_up(pool: Pool, api: ApiServer) -> None:
    """All the way down."""
    expert = remote(api, model="endless")
    async with pool.ask(Call(expert, BODY, stream=True)):
        pass  # it has begun
    assert await asyncio.to_thread(api.hung_up.wait, 10)


async def test_an_expert_that_moved_is_asked_at_its_new_address(pool: Pool, api: ApiServer) -> None:
    """From the next query on."""
    await said(pool, remote(api))
    with api_server() as other:
        assert await said(pool, remote(other, version=2)) == "Hello from tiny"
        assert len(other.requests) == 1
    assert len(api.requests) == 1


async def test_a_removed_expert_is_not_asked_in_the_place_of_its_successor(
    pool: Pool, api: ApiServer
) -> None:
    """Removed and registered again under the same name, versions begin anew."""
    await said(pool, remote(api))
    with api_server() as other:
        await said(pool, remote(other))
        assert len(other.requests) == 1


async def test_a_model_of_the_base_is_asked_with_the_engines_secret(
    local: Pool, engine: StubEngine
) -> None:
    """The engine answers nobody else."""
    assert await said(local, BASE) == f"I am {engine.supervisor.status.pid}"


async def test_an_adapter_is_loaded_once(local: Pool, engine: StubEngine, tmp_path: Path) -> None:
    """However often it is asked."""
    expert = adapter(tmp_path / "lora")
    for _ in range(3):
        await said(local, expert)
    assert len(loaded(engine)) == 1


async def test_an_adapter_with_new_weights_is_loaded_anew(
    local: Pool, engine: StubEngine, tmp_path: Path
) -> None:
    """Under another name, so that the old copy in the engine is never asked."""
    expert = adapter(tmp_path / "lora")
    await said(local, expert)
    os.utime(tmp_path / "lora" / "adapter_model.safetensors", ns=(1, 1))
    await said(local, expert)
    first, second = loaded(engine)
    assert first != second


async def test_after_a_restart_of_the_engine_all_goes_on(
    local: Pool, engine: StubEngine, tmp_path: Path
) -> None:
    """At the new address, with the adapter loaded again."""
    expert = adapter(tmp_path / "lora")
    before = await said(local, expert)
    os.kill(engine.supervisor.status.pid or 0, 9)
    await engine.ready(2)
    assert await said(local, expert) != before
    first, second = loaded(engine)
    assert first == second


async def test_a_removed_experts_adapter_is_unloaded(
    local: Pool, engine: StubEngine, tmp_path: Path
) -> None:
    """Under the name that it was loaded by; the engine's other experts stay."""
    expert = adapter(tmp_path / "lora")
    await said(local, expert)
    await said(local, BASE)
    await local.follow([BASE])
    path, body = json.loads((engine.folder / "requests").read_text().splitlines()[-1])
    assert (path, body["lora_name"]) == ("/v1/unload_lora_adapter", loaded(engine)[0])
    await local.follow([BASE])
    await said(local, expert)
    assert len(loaded(engine)) == 2


async def test_an_expert_on_an_engine_that_is_not_ready_is_unavailable(
    local: Pool, engine: StubEngine
) -> None:
    """Said before and when it is asked, with a time to come back."""
    assert local.unavailable(BASE) is None
    await engine.supervisor.stop()
    error = local.unavailable(BASE)
    assert isinstance(error, ExpertUnavailable)
    assert error.retry_after_s is not None
    with pytest.raises(ExpertUnavailable, match="is stopped"):
        await said(local, BASE)


async def test_an_engine_of_another_service_is_unavailable(pool: Pool) -> None:
    """The registry may be shared; the engine's process is not."""
    assert "not run by this service" in str(pool.unavailable(BASE))


async def test_nothing_is_known_against_an_endpoint_until_it_is_asked(
    pool: Pool, api: ApiServer
) -> None:
    """Nobody calls around for every query."""
    assert pool.unavailable(remote(api)) is None
    assert api.requests == []


async def test_a_key_is_read_from_the_environment(
    pool: Pool, api: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The registry knows only where to find it."""
    expert = remote(api, api_key_env="THE_API_KEY")
    with pytest.raises(ExpertUnavailable, match="API key is not set up") as info:
        await said(pool, expert)
    assert "environment variable THE_API_KEY" in info.value.detail
    monkeypatch.setenv("THE_API_KEY", "s3cret")
    await said(pool, expert)
    assert api.requests[0][1]["authorization"] == "Bearer s3cret"
