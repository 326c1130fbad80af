"""Bulk jobs through OpenAI's own client: lines, jobs and their results."""

from __future__ import annotations

import io
import json
import time
from typing import Any

import httpx
import openai

from tests.running_service import RunningService
from tests.service.upstreams import until

CHAT: Any = "/v1/chat/completions"


ENDED = ("completed", "failed", "expired", "cancelled")


def register(service: RunningService, echo_url: str) -> None:
    for name, price in (("cheap", 1.0), ("dear", 100.0)):
        prices = {"input_price": 0.0, "output_price": price}
        new = {"name": name, "kind": "openai", "base_url": echo_url, **prices}
        answer = httpx.post(f"{service.url}/v1/experts", json=new, timeout=60)
        assert answer.status_code == 201, answer.text


def sdk_of(service: RunningService) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{service.url}/v1", api_key="none", max_retries=0)


def line(custom_id: str, text: str = "hello", model: str = "cheap", **body: Any) -> str:
    messages = [{"role": "user", "content": text}]
    request = {"model": model, "messages": messages, **body}
    return json.dumps({"custom_id": custom_id, "method": "POST", "url": CHAT, "body": request})


def submitted(sdk: openai.OpenAI, lines: list[str], **more: Any) -> Any:
    data = "\n".join(lines).encode()
    source = sdk.files.create(file=("in.jsonl", io.BytesIO(data)), purpose="batch")
    window: Any = more.pop("completion_window", "24h")
    return sdk.batches.create(
        input_file_id=source.id, endpoint=CHAT, completion_window=window, **more
    )


def ended(sdk: openai.OpenAI, batch: Any, timeout_s: float = 60) -> Any:
    deadline = time.monotonic() + timeout_s
    while (batch := sdk.batches.retrieve(batch.id)).status not in ENDED:
        assert time.monotonic() < deadline, batch
        time.sleep(0.1)
    return batch


def counted(sdk: openai.OpenAI, batch: Any) -> Any:
    return sdk.batches.retrieve(batch.id).request_counts


def results(sdk: openai.OpenAI, file_id: str | None) -> list[dict[str, Any]]:
    assert file_id is not None
    return [json.loads(text) for text in sdk.files.content(file_id).text.splitlines()]


def until_answered(sdk: openai.OpenAI, batch: Any, more: int) -> None:
    """Return when so many more lines of 400 are answered than when this began, or nearly all."""
    goal = min(counted(sdk, batch).completed + more, 390)
    until(lambda: counted(sdk, batch).completed >= goal, timeout_s=120)
