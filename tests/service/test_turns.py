"""Two real engines that take turns, for the memory that they may have is too little for both."""

from __future__ import annotations

import asyncio
import io
import json
import time
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from collegium.experts.embedded import ensure_base_model
from collegium.registry.engine import Engine
from collegium.registry.engines import EngineRegistry
from collegium.registry.expert import Expert
from collegium.registry.experts import ExpertRegistry
from collegium.registry.storage.database import Database
from collegium.settings import load_settings
from tests.running_service import running_service

pytestmark = pytest.mark.slow
CHAT: Any = "/v1/chat/completions"
NAMES = ("one", "two")


async def described(folder: Path) -> None:
    """Two experts on engines of their own, in a registry that no service has opened yet."""
    database = Database(f"sqlite+aiosqlite:///{folder / 'collegium.sqlite3'}")
    await database.migrate()
    model = ensure_base_model(load_settings().cache_dir)
    for name in NAMES:
        engine = Engine(name=name, model_path=str(model), context=512)
        await EngineRegistry(database).register(engine)
        await ExpertRegistry(database).register(Expert(name, "engine", name, engine=name))
    await database.close()


def line(number: int) -> str:
    messages = [{"role": "user", "content": f"Say the number {number}."}]
    body = {"model": NAMES[number % 2], "messages": messages, "max_tokens": 8}
    request = {"custom_id": str(number), "method": "POST", "url": CHAT, "body": body}
    return json.dumps(request)


def test_a_mixed_job_loads_each_engine_once(tmp_path: Path) -> None:
    """Its lines alternate between two experts; together they would not fit."""
    asyncio.run(described(tmp_path))
    settings = {"COLLEGIUM_EMBEDDED": "false", "COLLEGIUM_ENGINE_MEMORY_GIB": "5"}
    with (
        running_service(tmp_path, **settings) as service,
        openai.OpenAI(base_url=f"{service.url}/v1", api_key="none", max_retries=0) as sdk,
    ):
        data = "\n".join(line(number) for number in range(24)).encode()
        source = sdk.files.create(file=("in.jsonl", io.BytesIO(data)), purpose="batch")
        window: Any = "1h"
        batch: Any = sdk.batches.create(
            input_file_id=source.id, endpoint=CHAT, completion_window=window
        )
        deadline = time.monotonic() + 400
        while batch.status != "completed":
            assert time.monotonic() < deadline, batch
            time.sleep(0.5)
            batch = sdk.batches.retrieve(batch.id)
        counts: Any = batch.request_counts
        assert counts.completed == 24
        engines = httpx.get(f"{service.url}/v1/engines", timeout=30).json()["data"]
    assert {engine["name"]: engine["starts"] for engine in engines} == {"one": 1, "two": 1}
    assert sorted(engine["state"] for engine in engines) == ["ready", "stopped"]
