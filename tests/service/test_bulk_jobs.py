"""Bulk jobs through OpenAI's own client, on a service whose experts repeat what they are told."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import openai
import pytest

from tests.running_service import RunningService, running_service
from tests.service.bulk import ended, line, register, results, sdk_of, submitted

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bulk_service(
    tmp_path_factory: pytest.TempPathFactory, echo_url: str
) -> Iterator[RunningService]:
    """No engine: two experts at the echo server, equally good and one of them dear."""
    folder = tmp_path_factory.mktemp("bulk")
    with running_service(folder, COLLEGIUM_EMBEDDED="false") as service:
        register(service, echo_url)
        yield service


@pytest.fixture
def sdk(bulk_service: RunningService) -> Iterator[openai.OpenAI]:
    with sdk_of(bulk_service) as client:
        yield client


def test_a_job_answers_every_line_once(sdk: openai.OpenAI) -> None:
    """Each result bears its line's id and the body that the line alone would have got."""
    lines = [line(f"row-{n}", f"text {n}") for n in range(200)]
    batch = ended(sdk, submitted(sdk, lines, metadata={"for": "a test"}))
    assert (batch.status, batch.metadata) == ("completed", {"for": "a test"})
    assert (batch.request_counts.total, batch.request_counts.completed) == (200, 200)
    assert batch.error_file_id is None
    found = {r["custom_id"]: r for r in results(sdk, batch.output_file_id)}
    assert len(found) == 200
    for n in range(200):
        response = found[f"row-{n}"]["response"]
        body = response["body"]
        assert response["status_code"] == 200
        assert body["choices"][0]["message"]["content"] == f"Echo: text {n}"
        assert body["model"] == "cheap"
    info = sdk.files.retrieve(batch.output_file_id)
    assert (info.purpose, info.filename) == ("batch_output", f"{batch.id}_output.jsonl")


def test_files_are_kept_listed_and_deleted(sdk: openai.OpenAI) -> None:
    """As the SDK does it, pages included; a file's name is never a path."""
    data = (line("a") + "\n").encode()
    made = [
        sdk.files.create(file=(f"../../etc/{n}.jsonl", io.BytesIO(data)), purpose="batch").id
        for n in range(3)
    ]
    assert sdk.files.content(made[0]).read() == data
    assert sdk.files.retrieve(made[0]).bytes == len(data)
    newest = [f.id for f in sdk.files.list(limit=2, purpose="batch")]  # follows the pages
    assert newest[:3] == made[::-1]
    oldest = [f.id for f in sdk.files.list(order="asc")]
    assert oldest.index(made[0]) < oldest.index(made[1])
    assert sdk.files.delete(made[0]).deleted
    for gone in (made[0], "../collegium.sqlite3", "file-%2e%2e"):
        with pytest.raises(openai.NotFoundError):
            sdk.files.content(gone)


def test_jobs_are_listed_newest_first(sdk: openai.OpenAI) -> None:
    """Pages as the SDK follows them."""
    made = [submitted(sdk, [line("a")]).id for _ in range(3)]
    assert [b.id for b in sdk.batches.list(limit=2)][:3] == made[::-1]


def test_the_command_submits_waits_and_fetches(
    bulk_service: RunningService, tmp_path: Path
) -> None:
    """`collegium batch` from the input file to the results file."""
    command = partial(bulk_service.cli, "batch")
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text("\n".join(line(f"{n}") for n in range(30)))
    done = command("submit", str(source), "--wait", "--json")
    assert done.returncode == 0, done.stderr
    batch = json.loads(done.stdout)
    assert batch["status"] == "completed"
    assert "30/30" in done.stderr
    shown = json.loads(command("status", batch["id"], "--json").stdout)
    assert shown["request_counts"]["completed"] == 30
    assert batch["id"] in command("status").stdout
    fetched = command("results", batch["id"], "--out", str(target))
    assert fetched.returncode == 0, fetched.stderr
    assert len(target.read_text().splitlines()) == 30
    printed = command("results", batch["id"])
    assert len(printed.stdout.splitlines()) == 30
    again = command("cancel", batch["id"])
    assert (again.returncode, "already" in again.stderr) == (1, True)
    missing = command("status", "batch_none")
    assert (missing.returncode, "no batch" in missing.stderr) == (1, True)
