"""One service with two workers on SQLite: they share everything, and one may be killed."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.running_service import RunningService, running_service
from tests.service.bulk import ended, line, results, sdk_of, submitted
from tests.service.upstreams import ADMIN, Upstream, until, upstream

pytestmark = pytest.mark.slow
ADA = "the-key-of-ada-1"
SLOTS = 8
"""Requests that the endpoint is asked at once, by both workers together."""


@pytest.fixture(scope="module")
def counting() -> Iterator[Upstream]:
    """The expert of all tests; it counts."""
    with upstream() as server:
        yield server


@pytest.fixture(scope="module")
def crew(tmp_path_factory: pytest.TempPathFactory, counting: Upstream) -> Iterator[Any]:
    """Two workers."""
    settings = {
        "COLLEGIUM_WORKERS": "2",
        "COLLEGIUM_EMBEDDED": "false",
        "COLLEGIUM_ENCODER": "static",
        "COLLEGIUM_API_KEY": ADMIN,
        "COLLEGIUM_CALLER_KEYS": json.dumps({"ada": ADA}),
        "COLLEGIUM_REMOTE_CONCURRENCY": str(SLOTS),
        "COLLEGIUM_BUDGET_FIELDS": json.dumps(["first_s", "tokens", "every_s"]),
    }
    with running_service(tmp_path_factory.mktemp("workers"), **settings) as running:
        added = register(running, "counting", counting)
        assert added.status_code == 201, added.text
        yield running
    assert not psutil.pid_exists(running.process.pid)


def register(service: RunningService, name: str, server: Upstream) -> httpx.Response:
    """Add an expert whose answers cost a dollar for a million tokens."""
    new = {"name": name, "kind": "openai", "model": "counting", "base_url": server.url}
    return operator(service, "POST", "/v1/experts", {**new, "input_price": 1, "output_price": 1})


def operator(service: RunningService, method: str, path: str, body: Any = None) -> httpx.Response:
    """Call as the operator."""
    headers = {"authorization": f"Bearer {ADMIN}"}
    return httpx.request(method, f"{service.url}{path}", json=body, headers=headers, timeout=60)


def workers(service: RunningService) -> list[psutil.Process]:
    """The processes that answer."""
    children = psutil.Process(service.process.pid).children()
    return [child for child in children if "collegium.cli.worker" in child.cmdline()]


@contextmanager
def connected(service: RunningService) -> Iterator[tuple[httpx.Client, httpx.Client]]:
    """Two clients, each with a connection to another worker."""
    headers = {"authorization": f"Bearer {ADMIN}"}
    found: dict[int, httpx.Client] = {}
    with ExitStack() as stack:
        deadline = time.monotonic() + 30
        while len(found) < 2:
            assert time.monotonic() < deadline, "one worker has all connections"
            new = httpx.Client(base_url=service.url, headers=headers, timeout=60)
            http = stack.enter_context(new)
            stream = http.get("/v1/models").extensions["network_stream"]
            port = stream.get_extra_info("client_addr")[1]
            for worker in workers(service):
                if any(c.raddr and c.raddr.port == port for c in worker.net_connections()):
                    found.setdefault(worker.pid, http)
        one, other = found.values()
        yield one, other


def chat(http: httpx.Client, text: str, model: str = "counting", **more: Any) -> httpx.Response:
    """Ask."""
    body = {"model": model, "messages": [{"role": "user", "content": text}], **more}
    return http.post("/v1/chat/completions", json=body)


def answers(service: RunningService, expert: str) -> float:
    """The answers of an expert, by /metrics."""
    text = operator(service, "GET", "/metrics").text
    wanted = f'collegium_answers_total{{expert="{expert}",status="ok"}}'
    return sum(float(li.split()[-1]) for li in text.splitlines() if li.startswith(wanted))


def test_what_one_worker_is_told_the_other_knows_at_once(
    crew: RunningService, counting: Upstream
) -> None:
    """A new expert, a new key and a budget count when the request that made them is answered."""
    new = {"name": "late", "kind": "openai", "model": "counting", "base_url": counting.url}
    limit = {"scope": "key", "name": "eve", "metric": "requests", "window": "hour", "amount": 1}
    with connected(crew) as (one, other):
        assert one.post("/v1/experts", json=new).status_code == 201
        assert chat(other, "by the other worker", "late").json()["model"] == "late"
        key = one.post("/v1/keys", json={"name": "eve"}).json()["key"]
        assert one.put("/v1/budgets", json=limit).status_code == 200
        other.headers["authorization"] = f"Bearer {key}"
        assert [chat(other, "first").status_code, chat(other, "second").status_code] == [200, 429]


def test_metrics_and_health_are_the_whole_services(crew: RunningService) -> None:
    """Whichever worker is asked, and both count."""
    before = answers(crew, "counting")
    with connected(crew) as (one, other):
        for http in (one, other, other):
            assert chat(http, "to be counted").status_code == 200
        assert {answers(crew, "counting") for _ in range(4)} == {before + 3}
        assert one.get("/healthz").json()["workers"] == "2 of 2"


async def storm(service: RunningService, count: int, key: str, **more: Any) -> list[Any]:
    """So many requests at once, each on a connection of its own."""
    headers = {"authorization": f"Bearer {key}"}
    limits = httpx.Limits(max_connections=300)
    async with httpx.AsyncClient(timeout=120, limits=limits, headers=headers) as http:

        async def one(number: int) -> Any:
            said = [{"role": "user", "content": f"question {number}"}]
            body = {"model": "counting", "messages": said, **more}
            answer = await http.post(f"{service.url}/v1/chat/completions", json=body)
            return answer.status_code

        return await asyncio.gather(*map(one, range(count)), return_exceptions=True)


def budget_of(service: RunningService, key: str) -> Any:
    """The only budget of a key."""
    shown = operator(service, "GET", "/v1/budgets").json()["data"]
    (found,) = [each for each in shown if each["name"] == key]
    return found


def test_no_budget_is_overspent_and_no_slot_is_had_twice(
    crew: RunningService, counting: Upstream
) -> None:
    """200 requests at once through both workers, of which the budget pays a part."""
    httpx.post(f"http://127.0.0.1:{counting.port}/reset")
    amount = 150 * 8e-6  # each answer is billed for eight tokens
    limit = {"scope": "key", "name": "ada", "metric": "usd", "window": "total", "amount": amount}
    assert operator(crew, "PUT", "/v1/budgets", limit).status_code == 200
    found = Counter(asyncio.run(storm(crew, 200, ADA, max_tokens=64, first_s=0.02)))
    assert set(found) <= {200, 429}, found
    assert found[429] > 0
    until(lambda: budget_of(crew, "ada")["reserved"] == 0)
    used = budget_of(crew, "ada")["used"]
    assert used == pytest.approx(found[200] * 8e-6)
    assert used <= amount
    assert counting.stats()["most"] <= SLOTS


def test_a_bulk_job_is_done_once(crew: RunningService, counting: Upstream) -> None:
    """By the owner, whoever was given it."""
    httpx.post(f"http://127.0.0.1:{counting.port}/reset")
    sdk = sdk_of(crew).with_options(api_key=ADMIN)
    batch = submitted(sdk, [line(f"row-{n}", f"row {n}", "counting") for n in range(20)])
    done = ended(sdk, batch)
    assert len(results(sdk, done.output_file_id)) == 20
    asked = counting.stats()["asked"]
    assert {asked[f"row {n}"] for n in range(20)} == {1}


def test_the_others_serve_on_when_a_worker_is_killed(crew: RunningService) -> None:
    """New connections never fail, the killed one is replaced, and no counter falls."""
    before = answers(crew, "counting")
    victim = workers(crew)[0].pid
    answered, failed = 0, []
    while answered < 50 or len(workers(crew)) < 2:
        if answered == 20:
            time.sleep(1.5)  # what was counted until now is told
            psutil.Process(victim).kill()
        with httpx.Client(base_url=crew.url, timeout=60) as http:
            http.headers["authorization"] = f"Bearer {ADMIN}"
            try:
                if (answer := chat(http, f"during it {answered}")).status_code != 200:
                    failed.append(answer.text)
            except httpx.TransportError as exc:  # the one request that it may have been answering
                failed.append(repr(exc))
        answered += 1
    assert len(failed) <= 1, failed
    healthz = f"{crew.url}/healthz"
    until(lambda: httpx.get(healthz, timeout=60).json()["workers"] == "2 of 2", 100)
    assert victim not in {worker.pid for worker in workers(crew)}
    assert answers(crew, "counting") >= before + 20


def test_the_end_takes_all_processes_away(tmp_path: Path, counting: Upstream) -> None:
    """SIGTERM lets an answer end first; a killed owner takes its workers with it."""
    settings = {"COLLEGIUM_WORKERS": "2", "COLLEGIUM_EMBEDDED": "false"}
    settings["COLLEGIUM_ENCODER"] = "static"
    with running_service(tmp_path, **settings) as running:
        new = {"name": "counting", "kind": "openai", "base_url": counting.url}
        assert operator(running, "POST", "/v1/experts", new).status_code == 201
        body = {"model": "counting", "messages": [{"role": "user", "content": "the last"}]}
        processes = workers(running)
        url = f"{running.url}/v1/chat/completions"
        slow = {**body, "stream": True, "every_s": 0.3}
        with httpx.stream("POST", url, json=slow, timeout=60) as answer:
            running.process.terminate()
            text = answer.read().decode()
        assert text.rstrip().endswith("[DONE]")
        running.process.wait(30)
    gone, alive = psutil.wait_procs(processes, timeout=10)
    assert (len(gone), alive) == (2, [])
    with running_service(tmp_path, **settings) as running:
        processes = workers(running)
        running.process.kill()
    gone, alive = psutil.wait_procs(processes, timeout=20)
    assert (len(gone), alive) == (2, [])
