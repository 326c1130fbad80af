"""Services with two workers, which share everything; workers and services may be killed."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from click.testing import CliRunner

from collegium.cli.router_command import command as router_command
from tests.evals.training.test_learning import write_set
from tests.running_service import (
    START_TIMEOUT_S,
    RunningService,
    begun_service,
    running_service,
)
from tests.servers import postgres_server, redis_server
from tests.service.bulk import ended, line, results, sdk_of, submitted
from tests.service.upstreams import ADMIN, Upstream, until, upstream

pytestmark = pytest.mark.slow
ADA = "the-key-of-ada-1"
SLOTS = 8
"""Requests that the endpoint is asked at once, by both workers together."""
EQUALS = ["lister", "poet"]
RATED = 40
"""Answers whose ratings outweigh what a router knows of two experts that it holds for equal."""
TIMED = 9
"""Answers from which an expert's speed is known."""
CHAT = "/v1/chat/completions"
SETTINGS = {
    "COLLEGIUM_WORKERS": "2",
    "COLLEGIUM_EMBEDDED": "false",
    "COLLEGIUM_ENCODER": "static",
    "COLLEGIUM_API_KEY": ADMIN,
    "COLLEGIUM_CALLER_KEYS": json.dumps({"ada": ADA}),
    "COLLEGIUM_REMOTE_CONCURRENCY": str(SLOTS),
    "COLLEGIUM_BUDGET_FIELDS": json.dumps(["first_s", "tokens", "every_s"]),
}


@pytest.fixture(scope="module")
def counting() -> Iterator[Upstream]:
    """The expert of all tests; it counts."""
    with upstream() as server:
        yield server


@pytest.fixture(scope="module")
def learns(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The settings of a service that learns, whose router holds `lister` and `poet` for equal."""
    folder = tmp_path_factory.mktemp("router")
    words = ["train", str(write_set(folder / "set")), "--out", str(folder / "router")]
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("COLLEGIUM_ENCODER", "static")
        assert CliRunner().invoke(router_command, words, catch_exceptions=False).exit_code == 0
    router = {"COLLEGIUM_ONLINE_LEARNING": "on", "COLLEGIUM_ROUTER_DIR": str(folder / "router")}
    return SETTINGS | router


@pytest.fixture(scope="module")
def crew(
    tmp_path_factory: pytest.TempPathFactory, counting: Upstream, learns: dict[str, str]
) -> Iterator[Any]:
    """Two workers on SQLite. The last test of the file ends them."""
    with running_service(tmp_path_factory.mktemp("workers"), **learns) as running:
        register_all(running, counting)
        yield running


def register_all(service: RunningService, server: Upstream) -> None:
    """Add the expert that tests name, and the two among which the router chooses."""
    for name in ("counting", *EQUALS):
        register(service, name, server)


def register(service: RunningService, name: str, server: Upstream, **more: Any) -> None:
    """Add an expert whose answers cost a dollar for a million tokens."""
    new: dict[str, Any] = {"name": name, "kind": "openai", "model": "counting", **more}
    new |= {"base_url": server.url, "input_price": 1, "output_price": 1}
    added = operator(service, "POST", "/v1/experts", new)
    assert added.status_code == 201, added.text


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
        deadline = time.monotonic() + 90
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
    return http.post(CHAT, json=body)


def answers(service: RunningService, expert: str) -> float:
    """The answers of an expert, by /metrics."""
    text = operator(service, "GET", "/metrics").text
    wanted = f'collegium_answers_total{{expert="{expert}",status="ok"}}'
    return sum(float(li.split()[-1]) for li in text.splitlines() if li.startswith(wanted))


def test_what_one_worker_is_told_the_other_knows_at_once(
    crew: RunningService, counting: Upstream
) -> None:
    """A new expert, a new key and a budget count when the request that made them is answered."""
    assert_shared_at_once(crew, counting)


def assert_shared_at_once(service: RunningService, counting: Upstream) -> None:
    """Tell one worker, and ask the other."""
    new = {"name": "late", "kind": "openai", "model": "counting", "base_url": counting.url}
    limit = {"scope": "key", "name": "eve", "metric": "requests", "window": "hour", "amount": 1}
    with connected(service) as (one, other):
        assert one.post("/v1/experts", json=new).status_code == 201
        assert chat(other, "by the other worker", "late").json()["model"] == "late"
        key = one.post("/v1/keys", json={"name": "eve"}).json()["key"]
        assert one.put("/v1/budgets", json=limit).status_code == 200
        other.headers["authorization"] = f"Bearer {key}"
        assert [chat(other, "first").status_code, chat(other, "second").status_code] == [200, 429]


def test_a_decision_alone_is_the_one_that_an_answer_would_have(
    crew: RunningService, counting: Upstream
) -> None:
    """`/v1/route` goes by the speeds that the worker has measured: the better one is too slow."""
    pair = {"slow": 0.6, "quick": 0.0}
    for name, prior in zip(pair, (0.9, 0.2), strict=True):
        register(crew, name, counting, generalist=True, prior=prior)
    wanted = {"experts_allow": list(pair), "max_latency_ms": 300}
    said = [{"role": "user", "content": "in time?"}]
    with connected(crew) as both:
        for http in both:
            for name, first_s in list(pair.items()) * TIMED:
                assert chat(http, "how fast?", name, first_s=first_s).status_code == 200
            body = {"model": "auto", "messages": said, "routing": wanted, "max_tokens": 5}
            alone = http.post("/v1/route", json=body)
            assert alone.status_code == 200, alone.text
            assert (
                alone.json()["expert"] == decided(http.post(CHAT, json=body))["expert"] == "quick"
            )


def test_no_connection_waits_for_a_worker_that_starts(tmp_path: Path) -> None:
    """It is refused until one can answer it, as if there were no workers."""
    began = time.monotonic()
    with begun_service(tmp_path, **SETTINGS) as service:
        until(lambda: connects(service), START_TIMEOUT_S)
        connected_s = time.monotonic() - began
        assert httpx.get(f"{service.url}/healthz", timeout=60).status_code == 200
        assert time.monotonic() - began < 1.25 * connected_s


def connects(service: RunningService) -> bool:
    """Whether a connection is accepted, by the kernel at least."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", int(service.url.rpartition(":")[2]))) == 0


def test_metrics_and_health_are_the_whole_services(crew: RunningService) -> None:
    """Whichever worker is asked, and both count."""
    before = answers(crew, "counting")
    with connected(crew) as (one, other):
        for http in (one, other, other):
            assert chat(http, "to be counted").status_code == 200
        assert {answers(crew, "counting") for _ in range(4)} == {before + 3}
        assert one.get("/healthz").json()["workers"] == "2 of 2"
        with under_way(one), under_way(other):
            told = operator(crew, "GET", "/v1/experts/status").json()["data"]
        assert {each["name"]: each["in_flight"] for each in told}["counting"] == 2


@contextmanager
def under_way(http: httpx.Client, every_s: float = 2.0) -> Iterator[httpx.Response]:
    """An answer of five words that has begun."""
    said = [{"role": "user", "content": "slow"}]
    body = {"model": "counting", "messages": said, "stream": True, "every_s": every_s}
    with http.stream("POST", CHAT, json=body) as answer:
        assert answer.status_code == 200
        yield answer


def test_a_rating_teaches_the_worker_that_was_not_told_of_it(crew: RunningService) -> None:
    """One worker's answers are rated; by the next request the other one prefers another expert."""
    with connected(crew) as (one, other):
        disliked = decided(among_equals(other, "lists?"))["expert"]
        for number in range(RATED):
            decision = decided(among_equals(one, f"lists? {number}"))
            verdict = "failed" if decision["expert"] == disliked else "good_fit"
            rating = {"decision_id": decision["id"], "verdict": verdict}
            assert one.post("/v1/feedback", json=rating).status_code == 200
        asked = [among_equals(other, f"lists? {1000 + n}") for n in range(20)]
    assert Counter(decided(answer)["expert"] for answer in asked)[disliked] < 5


def among_equals(http: httpx.Client, text: str) -> httpx.Response:
    """Ask whom the router chooses."""
    return chat(http, text, "auto", routing={"experts_allow": EQUALS})


def decided(answer: httpx.Response) -> Any:
    """What was decided for an answer."""
    assert answer.status_code == 200, answer.text
    return answer.json()["collegium"]["decision"]


def test_a_conversation_keeps_its_expert_when_it_moves(crew: RunningService) -> None:
    """Its next question may arrive at the other worker."""
    assert_conversations_move(crew)


def assert_conversations_move(service: RunningService) -> None:
    """Begin each at a worker and go on at the other, which would choose either of two equals."""
    with connected(service) as (one, other):
        for number, kept in enumerate(EQUALS * 3):
            one.headers["x-session-id"] = other.headers["x-session-id"] = f"moves {number}"
            assert decided(chat(one, "Hello", kept))["expert"] == kept
            assert decided(among_equals(other, "Where were we?"))["expert"] == kept


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
    assert_no_budget_is_overspent(crew, counting)


def assert_no_budget_is_overspent(service: RunningService, counting: Upstream) -> None:
    """Nor is the endpoint asked more at once than it may be."""
    httpx.post(f"http://127.0.0.1:{counting.port}/reset")
    amount = 150 * 8e-6  # each answer is billed for eight tokens
    limit = {"scope": "key", "name": "ada", "metric": "usd", "window": "total", "amount": amount}
    assert operator(service, "PUT", "/v1/budgets", limit).status_code == 200
    found = Counter(asyncio.run(storm(service, 200, ADA, max_tokens=64, first_s=0.02)))
    assert set(found) <= {200, 429}, found
    assert found[429] > 0
    until(lambda: budget_of(service, "ada")["reserved"] == 0)
    used = budget_of(service, "ada")["used"]
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


def test_what_postgresql_and_redis_keep_is_shared(
    tmp_path: Path, counting: Upstream, learns: dict[str, str]
) -> None:
    """Keys, budgets, slots and conversations; and a service that is killed takes its workers."""
    with postgres_server() as postgres, redis_server() as redis:
        settings = learns | {
            "COLLEGIUM_DATABASE_URL": postgres.empty_database("workers"),
            "COLLEGIUM_REDIS_URL": redis.url,
        }
        with running_service(tmp_path, **settings) as running:
            register_all(running, counting)
            assert_shared_at_once(running, counting)
            assert_no_budget_is_overspent(running, counting)
            assert_conversations_move(running)
            processes = workers(running)
            running.process.kill()
            _, alive = psutil.wait_procs(processes, timeout=20)
            assert alive == []


def test_the_end_takes_all_processes_away(crew: RunningService) -> None:
    """SIGTERM lets an answer end first. This test is the last one of the service."""
    processes = workers(crew)
    with connected(crew) as (one, _), under_way(one, every_s=0.3) as answer:
        crew.process.terminate()
        text = answer.read().decode()
    assert text.rstrip().endswith("[DONE]")
    crew.process.wait(30)
    gone, alive = psutil.wait_procs(processes, timeout=10)
    assert (len(gone), alive) == (2, [])
