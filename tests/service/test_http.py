"""curl, and clients that hang up on the real engine; the rest of the API is in tests/web."""

from __future__ import annotations

import json
import subprocess
import time
from typing import Any

import httpx
import pytest

from tests.running_service import RunningService

pytestmark = pytest.mark.slow
STORY = {"role": "user", "content": "Tell a very long story about the sea and its ships."}


def test_curl_can_stream(service: RunningService) -> None:
    """curl prints events and the end mark."""
    body = {"model": "smollm2", "messages": [STORY], "stream": True, "max_tokens": 6}
    header = "content-type: application/json"
    command = ["curl", "-sN", f"{service.url}/v1/chat/completions", "-H", header]
    done = subprocess.run(
        [*command, "-d", json.dumps(body)], capture_output=True, text=True, check=True
    )
    lines = [line for line in done.stdout.splitlines() if line]
    assert all(line.startswith("data: ") for line in lines)
    assert lines[-1] == "data: [DONE]"


def test_a_client_that_leaves_a_stream_ends_the_generation(
    service: RunningService, http: httpx.Client
) -> None:
    """The engine runs nothing any more soon after the client hangs up."""
    body = {"model": "smollm2", "messages": [STORY], "max_tokens": 1500, "ignore_eos": True}
    with http.stream("POST", "/v1/chat/completions", json={**body, "stream": True}) as response:
        decision = response.headers["x-collegium-decision-id"]
        lines = response.iter_lines()  # kept: a generator that nobody holds hangs up
        next(lines)
        expect_load(service, 1.0)
    expect_load(service, 0.0)
    assert outcome_of(http, decision)["status"] == "cancelled"


def test_a_client_that_gives_up_waiting_ends_the_generation(
    service: RunningService, http: httpx.Client
) -> None:
    """The same for an answer that is not streamed."""
    body = {"model": "smollm2", "messages": [STORY], "max_tokens": 1500, "ignore_eos": True}
    with pytest.raises(httpx.ReadTimeout):
        http.post("/v1/chat/completions", json=body, timeout=3.0)
    expect_load(service, 0.0)


def expect_load(service: RunningService, load: float) -> None:
    """Wait a little for the engine to run so many requests: its metric lags behind."""
    deadline = time.monotonic() + 20
    while service.engine_load() != load:
        assert time.monotonic() < deadline, f"the engine runs {service.engine_load()} requests"
        time.sleep(0.2)


def outcome_of(http: httpx.Client, decision: str) -> Any:
    """The recorded outcome, which is written a moment after the answer ends."""
    deadline = time.monotonic() + 15
    while (kept := http.get(f"/v1/decisions/{decision}").json())["outcome"] is None:
        assert time.monotonic() < deadline, "no outcome was recorded"
        time.sleep(0.1)
    return kept["outcome"]
