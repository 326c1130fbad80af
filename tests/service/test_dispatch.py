"""Failover and many streams: real services, and upstreams that really die."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from pathlib import Path

import httpx
import psutil
import pytest

from tests.running_service import RunningService
from tests.service.upstreams import (
    ask,
    asking,
    said,
    serving,
    until,
    upstream,
)

pytestmark = pytest.mark.slow


def test_the_next_expert_answers_for_one_that_is_killed_frozen_or_away(tmp_path: Path) -> None:
    """Silently, and the outcome tells; a frozen one costs its time to the first token once."""
    timeout = {"COLLEGIUM_FIRST_TOKEN_TIMEOUT_S": "1"}
    with upstream() as a, upstream() as b, serving(tmp_path, a, b, **timeout) as service:
        assert ask(service, "well").json()["model"] == "a"
        os.kill(a.process.pid, signal.SIGSTOP)
        answer = ask(service, "frozen", stream=True)
        os.kill(a.process.pid, signal.SIGCONT)
        assert said(answer.text.splitlines())[0] == "".join(f"frozen/{n} " for n in range(5))
        assert answer.headers["x-collegium-expert"] == "b"
        a.process.kill()
        a.process.wait()
        outcome = ask(service, "killed").json()["collegium"]["outcome"]
        assert outcome["expert"] == "b"
        assert [(t["expert"], t["code"]) for t in outcome["tried"]] == [("a", "expert_unavailable")]
        named = ask(service, "named", model="a")
        assert (named.status_code, named.json()["error"]["code"]) == (503, "expert_unavailable")
        allowed = ask(service, "allowed", model="a", routing={"failover": True})
        assert allowed.json()["model"] == "b"
        for number in range(4):
            ask(service, f"more-{number}")
        assert 'collegium_breaker{expert="a"} 1.0' in httpx.get(f"{service.url}/metrics").text
        assert ask(service, "open").json()["collegium"]["outcome"]["tried"] is None
        assert max(b.stats()["asked"].values()) == 1


def test_an_upstream_killed_in_a_stream_is_one_error_and_nothing_twice(tmp_path: Path) -> None:
    """What was said stays said, by one expert."""
    with upstream() as a, upstream() as b, serving(tmp_path, a, b) as service:
        body = asking("story", stream=True, tokens=1000, every_s=0.02)
        url = f"{service.url}/v1/chat/completions"
        with httpx.stream("POST", url, json=body, timeout=60) as response:
            lines = response.iter_lines()
            heard = [next(lines) for _ in range(10)]
            a.process.kill()
            heard += list(lines)
        text, error, ended = said(heard)
        assert text == "".join(f"story/{n} " for n in range(len(text.split())))
        assert error is not None
        assert not ended
        assert b.stats()["asked"].get("story") is None


def test_500_streams_of_which_a_tenth_leave(tmp_path: Path) -> None:
    """None lost, none answered twice, and nothing is left behind: no task, socket or process."""
    settings = {"COLLEGIUM_QUEUE_DEPTH": "1000", "COLLEGIUM_REMOTE_CONCURRENCY": "100"}
    with upstream() as a, serving(tmp_path, a, **settings) as service:
        process = psutil.Process(service.process.pid)
        ask(service, "warm")
        before = process.num_fds(), process.num_threads(), len(process.children(recursive=True))
        heard: Counter[str] = Counter()

        async def one(http: httpx.AsyncClient, number: int) -> None:
            name = f"s{number}"
            body = asking(name, model="a", stream=True, tokens=8, every_s=0.02)
            lines = []
            async with http.stream("POST", "/v1/chat/completions", json=body) as response:
                assert response.status_code == 200
                async for line in response.aiter_lines():
                    lines.append(line)
                    if number % 10 == 0 and len(lines) > 3:
                        heard["left"] += 1
                        return
            text, error, ended = said(lines)
            assert error is None
            assert ended
            assert text == "".join(f"{name}/{n} " for n in range(8))
            heard["whole"] += 1

        async def all_of_them() -> None:
            limits = httpx.Limits(max_connections=None)
            async with httpx.AsyncClient(base_url=service.url, timeout=120, limits=limits) as http:
                await asyncio.gather(*(one(http, number) for number in range(500)))

        asyncio.run(all_of_them())
        assert heard == {"whole": 450, "left": 50}
        counted = a.stats()
        assert max(counted["asked"].values()) == 1
        assert len(counted["asked"]) == 501
        assert counted["most"] <= 100
        until(lambda: a.stats()["now"] == 0)
        until(lambda: "collegium_slots_taken" in metrics(service) and idle(service))
        until(lambda: process.num_fds() <= before[0] + 70)  # kept-alive connections to the expert
        assert len(process.children(recursive=True)) == before[2]


def metrics(service: RunningService) -> str:
    """The page for Prometheus."""
    return httpx.get(f"{service.url}/metrics").text


def idle(service: RunningService) -> bool:
    """Nobody waits, nobody is asked, no answer is in the making."""
    names = ("collegium_slots_taken{", "collegium_queue_depth{", "collegium_in_flight{")
    lines = [line for line in metrics(service).splitlines() if line.startswith(names)]
    return all(float(line.split()[-1]) == 0 for line in lines)
