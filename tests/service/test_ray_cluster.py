"""A service whose engines run on a real Ray cluster of several raylets, of which one is lost."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import psutil
import pytest

from tests.experts.engines import alive
from tests.experts.replicas.local_cluster import (
    LocalCluster,
    engine_python,
    local_cluster,
    model_folder,
)
from tests.running_service import RunningService, running_service
from tests.service.bulk import ended, line, results, sdk_of, submitted, until_answered
from tests.service.upstreams import until

pytestmark = [
    pytest.mark.slow,
    # Of Ray's, which leaves it to the collector to close what its processes write to.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
NAME = "tiny"
PATIENCE_S = 300
"""For steps of seconds: where others keep the cores, Ray's processes take minutes to start."""
CALLERS = 20
"""Enough for three replicas of four slots, also while eight of them ask anew."""


@dataclass
class Setting:
    """A cluster, a service on it, and the folder of the model that its engines serve."""

    cluster: LocalCluster
    service: RunningService
    model: Path

    def engine(self) -> Any:
        """What the service says of the engine."""
        found = httpx.get(f"{self.service.url}/v1/engines", timeout=30).json()["data"]
        return next(engine for engine in found if engine["name"] == NAME)

    def ready(self) -> int:
        """How many replicas are ready."""
        return sum(r["state"] == "ready" for r in self.engine()["replicas"])

    def noted(self, what: str) -> Counter[str]:
        """How often each prompt was asked, or answered to its end."""
        file = self.model / f"{what}.jsonl"
        lines = file.read_text().splitlines() if file.exists() else []
        return Counter(json.loads(text)["prompt"] for text in lines)

    def node_of(self, pid: int) -> str:
        """The node that runs a process."""
        for name, node in self.cluster.nodes.items():
            raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
            if pid in {child.pid for child in raylet.children(recursive=True)}:
                return name
        raise AssertionError("it runs on none of them")


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setting]:
    """Two nodes, with a replica of the engine on each."""
    folder = tmp_path_factory.mktemp("ray")
    model = model_folder(folder / NAME)
    with (
        local_cluster("first", "second") as cluster,
        running_service(
            folder / "data",
            COLLEGIUM_EMBEDDED="false",
            COLLEGIUM_ENCODER="static",
            COLLEGIUM_RAY_ADDRESS=cluster.address,
            COLLEGIUM_RAY_MIN_REPLICAS="2",
            COLLEGIUM_RAY_MAX_REPLICAS="3",
            COLLEGIUM_RAY_IDLE_S="5",
            COLLEGIUM_ENGINE_PYTHON=str(engine_python(folder)),
        ) as service,
    ):
        engine = {"model_path": str(model), "max_sequences": 4}
        new = {"name": NAME, "kind": "engine", "context_window": 2048, "engine": engine}
        answer = httpx.post(f"{service.url}/v1/experts", json=new, timeout=120)
        assert answer.status_code == 201, answer.text
        found = Setting(cluster, service, model)
        until(lambda: found.ready() == 2, timeout_s=60)
        yield found


def body(text: str, **more: Any) -> dict[str, Any]:
    """A chat with the expert."""
    return {"model": NAME, "messages": [{"role": "user", "content": text}], **more}


def say(setting: Setting, text: str) -> str:
    """The answer to a question."""
    url = f"{setting.service.url}/v1/chat/completions"
    answer = httpx.post(url, json=body(text), timeout=60)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["choices"][0]["message"]["content"])


@contextmanager
def streamed(setting: Setting, text: str) -> Iterator[Iterator[str]]:
    """The lines of a streamed answer."""
    url = f"{setting.service.url}/v1/chat/completions"
    with httpx.stream("POST", url, json=body(text, stream=True), timeout=60) as response:
        yield (each for each in response.iter_lines() if each)


def test_conversations_stay_with_their_replica_and_use_both(setting: Setting) -> None:
    """By what answers; the answer says which process it is."""
    told = {text: say(setting, text) for text in (f"question {n}" for n in range(12))}
    assert len({answer.partition(":")[0] for answer in told.values()}) == 2
    assert {text: say(setting, text) for text in told} == told
    assert {setting.node_of(int(a.partition(":")[0])) for a in told.values()} == {"first", "second"}


def test_an_engine_grows_with_its_queue_and_shrinks_again(setting: Setting) -> None:
    """Two replicas run four requests each at once; the others wait until there is a third one."""
    grown = Event()

    def ask(caller: int) -> list[str]:
        asked: list[str] = []
        while not grown.is_set():
            asked.append(f"slow {caller}.{len(asked)}")
            with streamed(setting, asked[-1]) as lines:
                assert list(lines)[-1] == "data: [DONE]"
        return asked

    with ThreadPoolExecutor(CALLERS) as threads:
        callers = [threads.submit(ask, number) for number in range(CALLERS)]
        try:
            until(lambda: setting.ready() == 3, timeout_s=PATIENCE_S)
        finally:
            grown.set()
        asked = [text for caller in callers for text in caller.result()]
    until(lambda: len(setting.engine()["replicas"]) == 2, timeout_s=60)
    assert setting.noted("finished") >= Counter(asked)


def test_a_lost_node_breaks_off_its_streams_only_and_engines_come_back(setting: Setting) -> None:
    """What has begun there ends with an error at once; everything else is answered elsewhere."""
    with streamed(setting, "long lost") as lines:
        first = json.loads(next(lines).removeprefix("data: "))
        while not first["choices"][0]["delta"].get("content"):
            first = json.loads(next(lines).removeprefix("data: "))
        pid = int(first["choices"][0]["delta"]["content"].partition(":")[0])
        lost, kept = setting.node_of(pid), {"first", "second"}
        began = time.monotonic()
        with setting.cluster.without(lost):
            assert any('"error"' in each for each in lines)
            assert time.monotonic() - began < 30
            until(lambda: not alive(pid), timeout_s=60)
            with ThreadPoolExecutor(8) as threads:
                answers = list(threads.map(lambda n: say(setting, f"after {n}"), range(24)))
            (survivor,) = kept - {lost}
            assert {setting.node_of(int(a.partition(":")[0])) for a in answers} == {survivor}
            until(lambda: setting.ready() == 2, timeout_s=60)


def test_a_job_loses_and_repeats_nothing_when_a_node_is_lost(setting: Setting) -> None:
    """Every line is in the output once; only lines that were in flight there were asked again."""
    until(lambda: setting.ready() == 2, timeout_s=60)
    with sdk_of(setting.service) as sdk:
        lines = [line(f"row-{n}", f"bulk {n}", NAME) for n in range(300)]
        batch = submitted(sdk, lines)
        until_answered(sdk, batch, 60)
        until(lambda: any(r["in_flight"] for r in setting.engine()["replicas"]))
        lost = next(iter(setting.cluster.nodes))
        with setting.cluster.without(lost):
            batch = ended(sdk, batch, PATIENCE_S)
        found = results(sdk, batch.output_file_id)
    assert batch.status == "completed"
    assert batch.error_file_id is None
    assert sorted(r["custom_id"] for r in found) == sorted(f"row-{n}" for n in range(300))
    asked = {text: n for text, n in setting.noted("asked").items() if text.startswith("bulk")}
    assert len(asked) == 300
    assert sum(asked.values()) <= 300 + 3 * 4


def test_a_large_file_is_answered_on_ray_data(setting: Setting, tmp_path: Path) -> None:
    """Killed with -9 while it answers, and a node lost after that: every line is answered once."""
    source, folder = tmp_path / "in.jsonl", tmp_path / "out"
    source.write_text("\n".join(line(f"row-{n}", f"large {n}", NAME) for n in range(400)))
    command = [
        *(sys.executable, "-m", "collegium", "batch", "large", str(source), str(folder)),
        *("--ray", setting.cluster.address, "--service", setting.service.url),
        *("--tasks", "2", "--at-once", "4", "--shard-lines", "10", "--range-mib", "0.01", "--json"),
    ]
    environment = setting.service.environment
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        try:
            until(lambda: len(list(folder.glob("output/*/*.jsonl"))) >= 5, timeout_s=PATIENCE_S)
        finally:
            process.kill()
    done = len(list(folder.glob("output/*/*.jsonl")))
    again = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    until(lambda: len(list(folder.glob("output/*/*.jsonl"))) >= done + 5, timeout_s=PATIENCE_S)
    setting.cluster.lose("second")
    told, _ = again.communicate(timeout=PATIENCE_S)
    assert again.returncode == 0
    assert json.loads(told)["failed"] == 0
    pieces = "".join(piece.read_text() for piece in folder.glob("output/*/*.jsonl"))
    found = [json.loads(text) for text in pieces.splitlines()]
    assert sorted(r["custom_id"] for r in found) == sorted(f"row-{n}" for n in range(400))
    finished = {t: n for t, n in setting.noted("finished").items() if t.startswith("large")}
    assert len(finished) == 400
    assert sum(finished.values()) <= 400 + 2 * 2 * 10, "only unfinished pieces were asked again"


def test_no_engine_outlives_a_service_that_is_killed(setting: Setting) -> None:
    """Ray ends its actors, and their engines end with them."""
    pids = {int(say(setting, f"who {n}").partition(":")[0]) for n in range(8)}
    assert all(map(alive, pids))
    setting.service.process.kill()
    until(lambda: not any(map(alive, pids)), timeout_s=60)
