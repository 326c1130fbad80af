"""Queues and failover: real services, real upstreams."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.running_service import RunningService
from tests.service.upstreams import (
    ADMIN,
    ask,
    asking,
    post,
    said,
    serving,
    until,
    until_waiting,
    upstream,
)

pytestmark = pytest.mark.slow
KEYS = {"shop": "the-key-of-the-shop", "desk": "the-key-of-the-desk"}


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


def test_a_stream_that_ends_without_a_reason_has_its_outcome(tmp_path: Path) -> None:
    """On a chunk of its own, with no reason made up."""
    with upstream() as a, serving(tmp_path, a) as service:
        answer = ask(service, "quiet", stream=True, reason=None)
    *_, end = (json.loads(line[6:]) for line in answer.text.split("\n\n") if "{" in line)
    assert end["choices"] == [{"index": 0, "delta": {}, "finish_reason": None}]
    assert end["collegium"].keys() == {"outcome"}
    assert (end["collegium"]["outcome"]["status"], end["id"]) == ("ok", "counting")


def test_a_full_queue_and_a_short_deadline_are_refused_at_once(tmp_path: Path) -> None:
    """429 with Retry-After; where failover is allowed, another expert answers instead."""
    limits = {"COLLEGIUM_REMOTE_CONCURRENCY": "1", "COLLEGIUM_QUEUE_DEPTH": "2"}
    with upstream() as a, upstream() as b, serving(tmp_path, a, b, **limits) as service:
        ask(service, "measured", model="a", first_s=3.0)

        async def burst() -> None:
            async with httpx.AsyncClient(base_url=service.url, timeout=60) as http:
                path = "/v1/chat/completions"
                slow = [
                    asyncio.create_task(
                        http.post(path, json=asking(f"slow-{n}", model="a", first_s=3.0))
                    )
                    for n in range(2)
                ]
                await asyncio.sleep(0.5)
                routing: dict[str, Any] = {"max_latency_ms": 4500}
                hurry = {"model": "a", "max_tokens": 5, "routing": routing}
                started = time.monotonic()
                late = await http.post(path, json=asking("late", **hurry))
                assert time.monotonic() - started < 2.5
                assert late.status_code == 429
                assert int(late.headers["retry-after"]) >= 1
                assert late.json()["error"]["code"] == "expert_busy"
                routing["failover"] = True
                other = await http.post(path, json=asking("other", **hurry))
                assert other.json()["model"] == "b"
                third = asyncio.create_task(http.post(path, json=asking("third", model="a")))
                await asyncio.sleep(0.1)
                full = await http.post(path, json=asking("full", model="a"))
                assert full.status_code == 429
                assert [r.status_code for r in await asyncio.gather(*slow, third)] == [200] * 3

        asyncio.run(burst())
        assert a.stats()["most"] == 1


def test_callers_share_an_expert_and_may_not_change_it(tmp_path: Path) -> None:
    """Forty of one caller's requests do not keep the other's four waiting to the end."""
    settings = {
        "COLLEGIUM_API_KEY": ADMIN,
        "COLLEGIUM_CALLER_KEYS": json.dumps(KEYS),
        "COLLEGIUM_REMOTE_CONCURRENCY": "1",
    }
    with upstream() as a, serving(tmp_path, a, **settings) as service:
        assert post(service, "/v1/experts", {}, KEYS["shop"]).status_code in (400, 403)
        gone = httpx.delete(
            f"{service.url}/v1/experts/a", headers={"authorization": f"Bearer {KEYS['shop']}"}
        )
        assert (gone.status_code, gone.json()["error"]["code"]) == (403, "forbidden")

        async def one(http: httpx.AsyncClient, caller: str, number: int, first_s: float) -> None:
            headers = {"authorization": f"Bearer {KEYS[caller]}"}
            body = asking(f"{caller}-{number}", model="a", first_s=first_s)
            answer = await http.post("/v1/chat/completions", json=body, headers=headers)
            assert answer.status_code == 200

        async def both() -> None:
            # One keeps the only slot until all the others wait, however slow the machine is.
            async with httpx.AsyncClient(base_url=service.url, timeout=120) as http:
                first = asyncio.create_task(one(http, "shop", 0, 1000.0))
                while "shop-0" not in await asyncio.to_thread(lambda: a.stats()["asked"]):
                    await asyncio.sleep(0.05)
                asks = [asyncio.create_task(one(http, "shop", n, 0.01)) for n in range(1, 40)]
                await asyncio.to_thread(until_waiting, service, "a", 39)
                asks += [asyncio.create_task(one(http, "desk", n, 0.01)) for n in range(4)]
                await asyncio.to_thread(until_waiting, service, "a", 43)
                first.cancel()  # hanging up frees the slot
                await asyncio.gather(*asks)

        asyncio.run(both())
        asked = list(a.stats()["asked"])
        last = max(place for place, name in enumerate(asked) if name.startswith("desk"))
        assert last < 12


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
        assert len(counted["asked"]) == 502  # the probe and the warm one too
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
