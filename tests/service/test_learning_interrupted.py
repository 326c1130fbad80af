"""`collegium learn` interrupted: the command by Ctrl-C, the service by SIGTERM and by kill -9."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.running_service import RunningService, running_service
from tests.service.upstreams import ADMIN, Upstream, serving, until, upstream

pytestmark = pytest.mark.slow
PROMPTS = 60
ANSWER_USD = (0.0, 5e-6)
"""What `a` and `b` cost: five tokens, for `b` at one dollar a million."""
SETTINGS = {
    "COLLEGIUM_API_KEY": ADMIN,
    "COLLEGIUM_ENCODER": "static",
    "COLLEGIUM_BUDGET_FIELDS": '["first_s"]',
}


class Walk:
    """Two experts on counting upstreams, and a learning run of theirs."""

    def __init__(self, folder: Path, upstreams: tuple[Upstream, Upstream]) -> None:
        self.data = folder / "data"
        self.upstreams = upstreams
        self._prompts = folder / "prompts.jsonl"
        self._said = folder / "said.txt"

    def begin(self, service: RunningService, *words: str) -> subprocess.Popen[bytes]:
        """`collegium learn` in another process, which somebody may interrupt."""
        lines = [json.dumps(prompt(number)) for number in range(PROMPTS)]
        self._prompts.write_text("\n".join(lines))
        command = [sys.executable, "-m", "collegium", "learn", "--from", str(self._prompts)]
        with self._said.open("wb") as said:
            return subprocess.Popen(
                [*command, "--yes", "--no-race", *words],
                env=service.environment,
                stdout=said,
                stderr=said,
            )

    @property
    def said(self) -> str:
        """What the command has printed."""
        return self._said.read_text()

    def asked(self) -> int:
        """How many questions the upstreams got."""
        return sum(sum(server.stats()["asked"].values()) for server in self.upstreams)

    def finished(self) -> list[Counter[str]]:
        """How often each upstream answered each prompt, which is what it bills for."""
        return [Counter(server.stats()["finished"]) for server in self.upstreams]

    def billed_usd(self) -> float:
        """Dollars, by what the upstreams counted."""
        counts = (found.total() for found in self.finished())
        return sum(n * usd for n, usd in zip(counts, ANSWER_USD, strict=True))

    def stored(self) -> int:
        """Answers in the service's database."""
        where = f"file:{self.data}/collegium.sqlite3?mode=ro"
        with closing(sqlite3.connect(where, uri=True)) as database:
            (count,) = database.execute("SELECT count(*) FROM learning_answers").fetchone()
        return int(count)


def prompt(number: int) -> dict[str, Any]:
    """A question whose answer takes half a second, and which both experts answer right."""
    question = f"Question number {number}?"
    message = {"role": "user", "content": question}
    return {
        "request": {"messages": [message], "max_tokens": 8, "first_s": 0.5},
        "application": "homework",
        "reference": f"{question}/0",
        "checker": {"name": "reference", "contains": True},
    }


@pytest.fixture
def walk(tmp_path: Path) -> Iterator[Walk]:
    """Upstreams that outlive the service."""
    with ExitStack() as stack:
        servers = stack.enter_context(upstream()), stack.enter_context(upstream())
        yield Walk(tmp_path, servers)


@contextmanager
def again(walk: Walk) -> Iterator[RunningService]:
    """The service on the same registry, after it was ended."""
    with running_service(walk.data, COLLEGIUM_EMBEDDED="false", **SETTINGS) as service:
        yield service


def ended(service: RunningService) -> dict[str, Any]:
    """The only run, once `collegium learn status --wait` has returned."""
    (run,) = json.loads(service.cli("learn", "list", "--json").stdout)
    done = service.cli("learn", "status", run["id"], "--wait", "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def once_each(walk: Walk) -> bool:
    """Whether each upstream answered each prompt exactly once."""
    every = {prompt(n)["request"]["messages"][0]["content"] for n in range(PROMPTS)}
    return all(found == Counter(every) for found in walk.finished())


def test_ctrl_c_leaves_the_run_alone_and_says_how_to_return_to_it(walk: Walk) -> None:
    """The service goes on; nobody needs `learn list` to find the run again."""
    with serving(walk.data, *walk.upstreams, **SETTINGS) as service:
        command = walk.begin(service)
        until(lambda: walk.asked() > 20)
        command.send_signal(signal.SIGINT)
        assert command.wait(timeout=60) == 130
        (run,) = json.loads(service.cli("learn", "list", "--json").stdout)
        assert run["status"] == "running"
        assert f"`collegium learn status {run['id']} --wait` returns to it" in walk.said
        assert f"`collegium learn cancel {run['id']}` ends it" in walk.said
        assert ended(service)["status"] == "finished"
    assert once_each(walk)


def test_a_service_that_is_told_to_end_lets_answers_arrive_first(walk: Walk) -> None:
    """They are paid for: the next service asks only what nobody was asked."""
    with serving(walk.data, *walk.upstreams, **SETTINGS) as service:
        command = walk.begin(service, "--budget-usd", "1")
        until(lambda: walk.asked() > 20)
        service.process.terminate()
        service.process.wait(timeout=60)
        assert command.wait(timeout=60) == 1
        assert "goes on when the service runs again: `collegium learn status lrn_" in walk.said
    assert 20 < walk.stored() == sum(found.total() for found in walk.finished()) < 2 * PROMPTS
    with again(walk) as service:
        run = ended(service)
    assert (run["status"], run["answered"]) == ("finished", 2 * PROMPTS)
    assert once_each(walk)
    assert run["spent_usd"] == pytest.approx(walk.billed_usd())


def test_kill_9_loses_and_repeats_no_answer_that_arrived(walk: Walk) -> None:
    """The upstreams give ten answers each and hold the others until the service is dead."""
    with serving(walk.data, *walk.upstreams, **SETTINGS) as service:
        for server in walk.upstreams:
            httpx.post(f"http://127.0.0.1:{server.port}/hold", params={"after": 10})
        command = walk.begin(service)
        until(lambda: walk.stored() == 20)
        service.process.kill()
        service.process.wait()
        assert command.wait(timeout=60) == 1
        for server in walk.upstreams:
            until(lambda server=server: not server.stats()["waiting"])
            httpx.post(f"http://127.0.0.1:{server.port}/release")
    with again(walk) as service:
        run = ended(service)
    assert (run["status"], run["answered"]) == ("finished", 2 * PROMPTS)
    assert once_each(walk)
    assert walk.asked() > 2 * PROMPTS  # those that were in flight were asked for again


def test_after_kill_9_what_was_in_flight_counts_as_spent(walk: Walk) -> None:
    """The upstreams bill for answers that nobody read: the budget covers them too."""
    with serving(walk.data, *walk.upstreams, **SETTINGS) as service:
        command = walk.begin(service, "--budget-usd", "1")
        until(lambda: walk.asked() > 20)
        service.process.kill()
        service.process.wait()
        command.wait(timeout=60)
    with again(walk) as service:
        run = ended(service)
    repeated = [found.total() - PROMPTS for found in walk.finished()]
    assert all(0 < count <= 8 for count in repeated), "the answers in flight, and no others"
    assert run["spent_usd"] >= walk.billed_usd()
    assert run["spent_usd"] <= walk.billed_usd() + 8 * 2 * ANSWER_USD[1]
