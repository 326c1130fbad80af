"""Three replicas on one PostgreSQL and one Redis, killed with -9 while they work."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.running_service import RunningService, running_service
from tests.servers import postgres_server, redis_server
from tests.service.bulk import ended, line, results, sdk_of, submitted
from tests.service.upstreams import Upstream, post, until, upstream

pytestmark = pytest.mark.slow
REPLICAS = 3
LINES = 300
SETTINGS = {
    "COLLEGIUM_EMBEDDED": "false",
    "COLLEGIUM_ENCODER": "static",
    "COLLEGIUM_REMOTE_CONCURRENCY": "16",
}
AT_ONCE = 8
"""Lines of a job that are in flight together: half of the concurrency above."""


class Replicas:
    """Services on one database, each with a data folder of its own."""

    def __init__(self, folder: Path, settings: dict[str, str]) -> None:
        self._folder = folder
        self._settings = settings
        self._stacks = [ExitStack() for _ in range(REPLICAS)]
        self.running: list[RunningService] = [self._start(n) for n in range(REPLICAS)]

    def _start(self, number: int) -> RunningService:
        folder = self._folder / f"replica-{number}"
        return self._stacks[number].enter_context(running_service(folder, **self._settings))

    def kill(self, number: int) -> None:
        """Kill one as the kernel does that is out of memory, and start it again."""
        self.running[number].process.kill()
        self.running[number].process.wait()
        self._stacks[number].close()
        self.running[number] = self._start(number)

    def close(self) -> None:
        """End all of them."""
        for stack in self._stacks:
            stack.close()


@pytest.fixture
def counting() -> Iterator[Upstream]:
    """The expert that all replicas ask; it counts."""
    with upstream() as server:
        yield server


@pytest.fixture
def replicas(tmp_path: Path, counting: Upstream) -> Iterator[Replicas]:
    """Three that know the expert."""
    with postgres_server() as postgres, redis_server() as redis:
        settings = SETTINGS | {
            "COLLEGIUM_DATABASE_URL": postgres.empty_database("chaos"),
            "COLLEGIUM_REDIS_URL": redis.url,
        }
        found = Replicas(tmp_path, settings)
        new = {"name": "counting", "kind": "openai", "base_url": counting.url}
        assert post(found.running[0], "/v1/experts", {**new, "input_price": 0}).status_code == 201
        yield found
        found.close()


class Chats:
    """Somebody who chats with any replica all the time; what fails is asked elsewhere."""

    def __init__(self, replicas: Replicas) -> None:
        self._replicas = replicas
        self._stopped = threading.Event()
        self.answered: dict[str, str] = {}
        """The decision of each answer."""
        self._thread = threading.Thread(target=self._chat)

    def __enter__(self) -> Chats:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _chat(self) -> None:
        number = 0
        while not self._stopped.is_set():
            text = f"chat {number}"
            service = self._replicas.running[number % REPLICAS]
            number += 1
            body = {"model": "counting", "messages": [{"role": "user", "content": text}]}
            try:
                answer = httpx.post(f"{service.url}/v1/chat/completions", json=body, timeout=30)
            except httpx.TransportError:  # it was killed
                continue
            if answer.status_code == 200:
                self.answered[text] = answer.json()["collegium"]["decision"]["id"]
            time.sleep(0.05)


def test_nothing_is_lost_or_done_twice(replicas: Replicas, counting: Upstream) -> None:
    """A job is taken over five times; any replica answers for any file, job and decision."""
    rng = random.Random(5)
    text = [line(f"row-{n}", f"text {n}", "counting", first_s=0.2) for n in range(LINES)]
    with Chats(replicas) as chats:
        with sdk_of(replicas.running[0]) as sdk:
            batch = submitted(sdk, text)
        for kill in range(5):
            goal = (kill + 1) * LINES // 7 + rng.randint(0, 20)
            until(lambda goal=goal: progress(replicas, batch.id) >= goal, timeout_s=120)
            replicas.kill(worker_of(replicas, counting))
        with sdk_of(replicas.running[1]) as sdk:
            batch = ended(sdk, batch, 120)
    assert batch.status == "completed"
    for service in replicas.running:
        with sdk_of(service) as sdk:
            found = results(sdk, batch.output_file_id)
            source = sdk.files.content(batch.input_file_id).text.splitlines()
        assert source == text
        assert sorted(r["custom_id"] for r in found) == sorted(f"row-{n}" for n in range(LINES))
        assert batch.error_file_id is None
        for decision in chats.answered.values():
            known = httpx.get(f"{service.url}/v1/decisions/{decision}", timeout=30)
            assert known.status_code == 200
    asked = {n: c for n, c in counting.stats()["asked"].items() if n.startswith("text ")}
    again = sum(asked.values()) - LINES
    assert set(asked) == {f"text {n}" for n in range(LINES)}
    assert 0 <= again <= 5 * AT_ONCE, "only lines in flight are asked again"
    assert len(chats.answered) > 20


def progress(replicas: Replicas, batch: str) -> int:
    """How many lines are finished, as any living replica says."""
    with sdk_of(replicas.running[0]) as sdk:
        counts: Any = sdk.batches.retrieve(batch).request_counts
    return int(counts.completed)


def worker_of(replicas: Replicas, server: Upstream) -> int:
    """The replica that works on the job: it has most connections to the expert."""

    def connections(service: RunningService) -> int:
        found = psutil.Process(service.process.pid).net_connections("tcp")
        return sum(bool(c.raddr) and c.raddr.port == server.port for c in found)

    counts = [connections(service) for service in replicas.running]
    return counts.index(max(counts))
