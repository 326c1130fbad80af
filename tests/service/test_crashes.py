"""Engines and services that die, as they really do."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import httpx
import psutil
import pytest

from tests.running_service import RunningService, begun_service, running_service
from tests.service.bulk import ended, line, results, sdk_of, submitted, until_answered

pytestmark = pytest.mark.slow
HELLO = {"model": "smollm2", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4}


def test_a_killed_engine_comes_back_by_itself(crashable_service: RunningService) -> None:
    """503 with Retry-After while it is away, 200 afterwards, with nobody's help."""
    url = f"{crashable_service.url}/v1/chat/completions"
    before = crashable_service.engine()
    crashable_service.kill_engine()
    before.wait(30)
    answer = httpx.post(url, json=HELLO, timeout=60)
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.json()["error"]["code"] == "expert_unavailable"
    assert httpx.get(f"{crashable_service.url}/healthz").status_code == 200
    assert httpx.get(f"{crashable_service.url}/readyz").status_code == 503
    crashable_service.wait_ready()
    assert httpx.post(url, json=HELLO, timeout=60).status_code == 200


def test_an_engine_that_dies_in_a_stream_ends_it_with_an_error_event(
    crashable_service: RunningService,
) -> None:
    """What was said stays said; the stream ends with one error and no end mark."""
    story = {"role": "user", "content": "Tell a long story."}
    body = HELLO | {"messages": [story], "max_tokens": 1500, "stream": True, "ignore_eos": True}
    url = f"{crashable_service.url}/v1/chat/completions"
    with httpx.stream("POST", url, json=body, timeout=60) as response:
        lines = response.iter_lines()
        next(lines)
        crashable_service.kill_engine()
        rest = [line for line in lines if line]
    assert '"error"' in rest[-1]
    assert "data: [DONE]" not in rest


def test_a_killed_service_leaves_no_engine_and_loses_no_decision(tmp_path: Path) -> None:
    """After kill -9 its engine and its workers, which have answered, end too.

    Every decision is on disk with its outcome.
    """
    with running_service(tmp_path, COLLEGIUM_WORKERS="2") as service:
        answers = [
            httpx.post(f"{service.url}/v1/chat/completions", json=HELLO, timeout=120).json()
            for _ in range(3)
        ]
        time.sleep(0.5)  # outcomes are written just after the answer
        family = psutil.Process(service.process.pid).children(recursive=True)
        service.process.kill()
        _, alive = psutil.wait_procs(family, timeout=30)
        assert alive == []
    ids = {answer["collegium"]["decision"]["id"] for answer in answers}
    with sqlite3.connect(tmp_path / "collegium.sqlite3") as database:
        decisions = {row[0] for row in database.execute("SELECT id FROM decisions")}
        outcomes = {row[0] for row in database.execute("SELECT decision_id FROM outcomes")}
    database.close()
    assert ids <= decisions
    assert ids <= outcomes


def test_an_interrupt_ends_every_child(tmp_path: Path) -> None:
    """Ctrl-C while the engine starts, and nothing is left."""
    with begun_service(tmp_path) as service:
        service.wait_engine()
        family = psutil.Process(service.process.pid).children(recursive=True)
        assert service.engine() in family
        service.process.send_signal(2)
        service.process.wait(60)
        _, alive = psutil.wait_procs(family, timeout=5)
        assert alive == []


def test_a_job_goes_on_when_its_engine_is_killed(crashable_service: RunningService) -> None:
    """On the real engine: killed in the middle of a batch, every line is answered once."""
    lines = [line(f"row-{n}", f"Say the number {n}.", "smollm2", max_tokens=24) for n in range(60)]
    with sdk_of(crashable_service) as sdk:
        batch = submitted(sdk, lines)
        until_answered(sdk, batch, 1)
        crashable_service.kill_engine()
        batch = ended(sdk, batch, 400)
        assert (batch.status, batch.request_counts.completed) == ("completed", 60)
        found = results(sdk, batch.output_file_id)
    assert len({r["custom_id"] for r in found}) == len(found) == 60
    assert {r["response"]["body"]["model"] for r in found} == {"smollm2"}
