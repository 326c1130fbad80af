"""Large jobs: how a file is cut, what is planned and answered, and that a job goes on."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from collegium.errors import BadRequest
from collegium.web.batch.large.asking import Service, ServiceAway
from collegium.web.batch.large.job import LargeJob, opened, planned, shards
from collegium.web.batch.large.stages import answer_shard, plan_range
from collegium.web.batch.large.storage import Storage, lines_between

EXPERTS = ("poet", "sql")


@pytest.fixture
def source(tmp_path: Path) -> Storage:
    """A file of twenty requests, of which one is no JSON and one is refused."""
    lines = [request(n) for n in range(20)]
    lines[3], lines[5] = "{nonsense", request(5, "refuse me")
    (tmp_path / "in.jsonl").write_text("\n".join(lines))
    return Storage(str(tmp_path / "in.jsonl"))


@pytest.fixture(params=["file", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    """Where answers go: on a disk, and in another of fsspec's file systems."""
    return Storage(str(tmp_path / "out") if request.param == "file" else f"memory:/{tmp_path}")


def request(number: int, text: str | None = None) -> str:
    """A line of the file; texts are of different lengths."""
    messages = [{"role": "user", "content": text or f"question {'é' * number} {number}"}]
    body = {"model": "auto", "messages": messages}
    url = {"method": "POST", "url": "/v1/chat/completions"}
    return json.dumps({"custom_id": f"row-{number}", **url, "body": body}, ensure_ascii=False)


def content(body: dict[str, Any]) -> str:
    """The question of a request."""
    return str(body["messages"][-1]["content"])


@pytest.mark.parametrize("step", [1, 7, 64, 10_000])
def test_every_line_belongs_to_one_range(source: Storage, step: int) -> None:
    """Wherever the cuts are, and where the last line has no end."""
    job = LargeJob(source.url, source.size(), step, 4)
    with source.open() as file:
        found = [item for begin, end in job.ranges for item in lines_between(file, begin, end)]
        file.seek(0)
        assert [line for _, line in found] == file.readlines()
        for at, line in found:
            file.seek(at)
            assert file.read(len(line)) == line


def test_shards_take_turns_and_have_one_expert_each() -> None:
    """Every line is in one of them."""
    plan = {"sql": [(n, 1) for n in range(5)], "poet": [(9, 1)], "a/b": [(7, 1), (8, 1)]}
    found = list(shards(plan, 2))
    assert [(s.expert, s.number) for s in found] == [
        ("a/b", 0), ("poet", 0), ("sql", 0), ("sql", 1), ("sql", 2),
    ]  # fmt: skip
    assert sorted(span for s in found for span in s.spans) == sorted(chain(*plan.values()))
    assert found[0].name == "a%2Fb/000000.jsonl"


def test_a_job_goes_on_only_as_it_began(source: Storage, folder: Storage) -> None:
    """With the pieces it was cut into; a folder has one job."""
    job = opened(source, folder, range_bytes=500, shard_lines=4)
    assert opened(source, folder, range_bytes=9, shard_lines=9) == job
    Path(source.path).write_text("other")
    with pytest.raises(BadRequest, match="choose another folder"):
        opened(source, folder, range_bytes=500, shard_lines=4)


def test_what_is_wrong_with_a_place_is_told() -> None:
    """A file that is not there; a protocol that no package has."""
    with pytest.raises(BadRequest, match="there is no file"):
        Storage("/nowhere/at/all").size()
    with pytest.raises(BadRequest, match="nonsense"):
        Storage("nonsense://x")


class Router(BaseHTTPRequestHandler):
    """Stands for the service: routes by a question's length, and is away when it is first asked."""

    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""

    def do_POST(self) -> None:
        """`/v1/route` or a chat."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        asked: list[tuple[str, str, str]] = self.server.asked  # type: ignore[attr-defined]
        text = str(body["messages"][-1]["content"])
        asked.append((self.path, body["model"], text))
        if len(asked) == 1:
            return self.send(503, {"error": {"message": "starting"}})
        if text == "refuse me":
            return self.send(422, {"error": {"message": "no"}})
        expert = EXPERTS[len(text) % 2]
        if self.path == "/v1/route":
            return self.send(200, {"expert": expert})
        self.send(200, {"choices": [{"message": {"content": f"{body['model']}: {text}"}}]})

    def send(self, status: int, body: object) -> None:
        """JSON."""
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def asked() -> Iterator[tuple[Service, list[tuple[str, str, str]]]]:
    """The service, and what it was asked: path, model and question."""
    http = ThreadingHTTPServer(("127.0.0.1", 0), Router)
    http.asked = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield Service(f"http://127.0.0.1:{http.server_port}", at_once=4), http.asked  # type: ignore[attr-defined]
    http.shutdown()
    thread.join()
    http.server_close()


def read(folder: Storage, below: str) -> list[dict[str, Any]]:
    """All records in the pieces of a folder."""
    pieces = [folder.read(name) or b"" for name in sorted(folder.names(below))]
    return [json.loads(line) for line in b"".join(pieces).splitlines()]


def test_every_line_is_answered_by_its_expert_or_told_why_not(
    source: Storage, folder: Storage, asked: tuple[Service, list[tuple[str, str, str]]]
) -> None:
    """All are routed before the first is asked; a service that is away is waited for."""
    service, log = asked
    job = opened(source, folder, range_bytes=700, shard_lines=4)
    counts = [plan_range(job, folder, service, number) for number in range(len(job.ranges))]
    assert len(counts) > 2
    assert sum(c["planned"] for c in counts) == 18
    assert {path for path, _, _ in log} == {"/v1/route"}

    for shard in shards(planned(folder, job), job.shard_lines):
        answer_shard(job, folder, service, shard)
    answers = read(folder, "output")
    assert sorted(r["custom_id"] for r in answers) == sorted(
        f"row-{n}" for n in range(20) if n not in (3, 5)
    )
    for record in answers:
        number = int(record["custom_id"][4:])
        text = content(json.loads(request(number))["body"])
        said = record["response"]["body"]["choices"][0]["message"]["content"]
        assert said == f"{EXPERTS[len(text) % 2]}: {text}"
    bad, refused = sorted(read(folder, "errors"), key=lambda r: r["custom_id"] or "")
    assert bad["error"]["message"].startswith("the line at byte ")
    assert (refused["custom_id"], refused["response"]["status_code"]) == ("row-5", 422)
    assert len({r["id"] for r in [*answers, bad, refused]}) == 20


def test_a_service_that_stays_away_ends_the_job_and_writes_nothing(
    source: Storage, folder: Storage
) -> None:
    """So the shard is done when the job goes on."""
    job = opened(source, folder, range_bytes=10_000, shard_lines=4)
    away = Service("http://127.0.0.1:9", patience_s=0.0)
    with pytest.raises(ServiceAway, match="the job goes on"):
        plan_range(job, folder, away, 0)
    assert folder.names("plan") == folder.names("errors") == set()
