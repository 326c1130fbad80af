"""Bulk jobs through OpenAI's own client, on a service whose experts repeat what they are told."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.running_service import RunningService, running_service
from tests.service.bulk import CHAT, counted, ended, line, register, results, sdk_of, submitted

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


def test_bad_lines_go_to_the_error_file_and_the_job_goes_on(sdk: openai.OpenAI) -> None:
    """Each with its own reason; the good ones are answered."""
    lines = [
        line("good"),
        "{nonsense",
        line("good"),
        line("nobody", model="nobody"),
        line("no-messages", messages=[]),
        line("streaming", stream=True),
        line("good-2"),
    ]
    batch = ended(sdk, submitted(sdk, lines))
    counts = batch.request_counts
    assert (batch.status, counts.total, counts.completed, counts.failed) == ("completed", 7, 2, 5)
    assert {r["custom_id"] for r in results(sdk, batch.output_file_id)} == {"good", "good-2"}
    errors = results(sdk, batch.error_file_id)
    own = {r["error"]["code"] for r in errors if r["error"]}
    assert own == {"invalid_json_line", "duplicate_custom_id"}
    sent = {r["custom_id"]: r["response"] for r in errors if r["response"]}
    assert sent["nobody"]["status_code"] == 404
    assert sent["nobody"]["body"]["error"]["code"] == "model_not_found"
    assert sent["no-messages"]["status_code"] == 400
    assert "stream" in sent["streaming"]["body"]["error"]["message"]


def test_a_line_may_ask_for_a_panel(bulk_service: RunningService, sdk: openai.OpenAI) -> None:
    """Its answer tells every call; `auto` where nothing pays is one expert; nonsense is refused."""
    lines = [
        line("vote", "hello", "auto", routing={"aggregate": "vote", "k": 2}),
        line("by-name", "hello again", "collegium/vote", routing={"k": 2}),
        line("auto", "hello", "auto", routing={"aggregate": "auto"}),
        line("one", "hello", "cheap", routing={"aggregate": "vote"}),
    ]
    batch = ended(sdk, submitted(sdk, lines))
    assert (batch.request_counts.completed, batch.request_counts.failed) == (3, 1)
    told = {r["custom_id"]: r["response"] for r in results(sdk, batch.output_file_id)}
    for name in ("vote", "by-name"):
        body = told[name]["body"]
        calls = body["collegium"]["panel"]["calls"]
        assert {call["expert"] for call in calls} == {"cheap", "dear"}
        cost = sum(call["cost_usd"] for call in calls)
        assert body["collegium"]["outcome"]["cost_usd"] == pytest.approx(cost)
        kept = httpx.get(f"{bulk_service.url}/v1/decisions/{told[name]['request_id']}", timeout=60)
        assert kept.json()["decision"]["policy"] == "panel"
    assert "panel" not in told["auto"]["body"]["collegium"]
    (error,) = results(sdk, batch.error_file_id)
    assert "is one" in error["response"]["body"]["error"]["message"]


def test_a_budget_over_the_job_counts_whole_panels(sdk: openai.OpenAI) -> None:
    """A panel costs what its members are forecast to cost; too small a budget fails the job."""
    lines = [line(str(i), f"hello {i}", "collegium/vote", routing={"k": 2}) for i in range(3)]
    limits: Any = {"routing": {"max_cost_usd": 1e-9}}
    batch = ended(sdk, submitted(sdk, lines, extra_body=limits))
    assert batch.status == "failed"
    assert "cost" in batch.errors.data[0].message


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


def test_a_deleted_input_does_not_harm_its_job(sdk: openai.OpenAI) -> None:
    """A job keeps what it was given."""
    batch = submitted(sdk, [line(f"{n}") for n in range(50)])
    sdk.files.delete(batch.input_file_id)
    assert ended(sdk, batch).request_counts.completed == 50


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"input_file_id": "file-0"}, "no file"),
        ({"endpoint": "/v1/embeddings"}, "endpoint"),
        ({"completion_window": "soon"}, "completion_window"),
        ({"routing": {"capacity": {"nobody": 1}}}, "not registered"),
        ({"routing": {"nonsense": 1}}, "routing.nonsense"),
    ],
)
def test_a_wrong_job_is_refused_at_once(
    bulk_service: RunningService, sdk: openai.OpenAI, change: dict[str, Any], match: str
) -> None:
    """Before anything is written down."""
    source = sdk.files.create(file=("in.jsonl", line("a").encode()), purpose="batch")
    body = {"input_file_id": source.id, "endpoint": CHAT, "completion_window": "24h"} | change
    answer = httpx.post(f"{bulk_service.url}/v1/batches", json=body)
    assert answer.status_code in (400, 404)
    assert match in answer.json()["error"]["message"]


def test_an_empty_file_fails_the_job(sdk: openai.OpenAI) -> None:
    """The reason is in the job's errors."""
    batch = ended(sdk, submitted(sdk, [""]))
    assert batch.status == "failed"
    assert batch.errors.data[0].code == "empty_file"


def test_uploads_that_make_no_sense_are_refused(bulk_service: RunningService) -> None:
    """Wrong purpose, no file, no form."""
    url = f"{bulk_service.url}/v1/files"
    file = {"file": ("in.jsonl", b"{}")}
    assert httpx.post(url, files=file, data={"purpose": "fine-tune"}).status_code == 400
    assert (
        httpx.post(url, files={"other": ("x", b"1")}, data={"purpose": "batch"}).status_code == 400
    )
    assert httpx.post(url, json={}).status_code == 400
    kept = {"purpose": "batch", "expires_after[anchor]": "created_at"}
    assert httpx.post(url, files=file, data=kept).status_code == 400
    hour = kept | {"expires_after[seconds]": "3600"}
    assert httpx.post(url, files=file, data=hour).json()["expires_at"] > time.time() + 3500


def test_a_budget_over_the_job_moves_lines_to_the_cheap_expert(
    bulk_service: RunningService, sdk: openai.OpenAI
) -> None:
    """Both know conversion; the dear one is better, and the budget buys it some lines only."""
    from collegium.experts.specialists.tasks import TASKS

    for name, level in (("cheap", 0.8), ("dear", 0.95)):
        skills = {"skills": {"conversion": level}}
        url = f"{bulk_service.url}/v1/experts/{name}"
        assert httpx.patch(url, json=skills).status_code == 200
    asked = TASKS["conversion"].examples("test", 20)
    lines = [line(str(n), e.prompt, model="auto", max_tokens=100) for n, e in enumerate(asked)]
    free = ended(sdk, submitted(sdk, lines))
    experts = [r["response"]["body"]["model"] for r in results(sdk, free.output_file_id)]
    assert experts.count("dear") > 15
    capped: Any = {"routing": {"capacity": {"dear": 4}}}
    batch = ended(sdk, submitted(sdk, lines, extra_body=capped))
    found = results(sdk, batch.output_file_id)
    assert [r["response"]["body"]["model"] for r in found].count("dear") == 4
    moved = [r["response"]["body"]["collegium"]["decision"] for r in found]
    assert "bulk" in {decision["policy"] for decision in moved}
    poor: Any = {"routing": {"max_cost_usd": 1e-9}}
    refused = ended(sdk, submitted(sdk, lines, extra_body=poor))
    assert refused.status == "failed"
    assert "cheapest experts would cost" in refused.errors.data[0].message


@pytest.fixture
def slow_expert(bulk_service: RunningService, tmp_path: Path) -> Iterator[str]:
    """An expert that accepts connections and never answers."""
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(256)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        put_in_registry(bulk_service, "mute", url)
        yield "mute"


def put_in_registry(service: RunningService, name: str, url: str) -> None:
    """Past the probe, which a mute expert can't pass."""
    import asyncio

    from collegium.registry.database import Database
    from collegium.registry.expert import Expert
    from collegium.registry.experts import ExpertRegistry

    async def add() -> None:
        database = Database(f"sqlite+aiosqlite:///{service.data_dir / 'collegium.sqlite3'}")
        registry = ExpertRegistry(database)
        if name in {e.name for e in await registry.list()}:
            await registry.remove(name)
        await registry.register(Expert(name, "openai", "mute", base_url=url))
        await database.close()

    asyncio.run(add())


def test_cancelling_keeps_what_is_answered(sdk: openai.OpenAI, slow_expert: str) -> None:
    """What was finished is in the output file; a second cancel is refused."""
    lines = [line("fast"), *(line(f"slow-{n}", model=slow_expert) for n in range(5))]
    batch = submitted(sdk, lines)
    while counted(sdk, batch).completed < 1:
        time.sleep(0.1)
    assert sdk.batches.cancel(batch.id).status == "cancelling"
    batch = ended(sdk, batch)
    assert batch.status == "cancelled"
    assert batch.cancelled_at is not None
    assert [r["custom_id"] for r in results(sdk, batch.output_file_id)] == ["fast"]
    with pytest.raises(openai.ConflictError, match="cancelled already"):
        sdk.batches.cancel(batch.id)


def test_lines_that_are_late_expire(sdk: openai.OpenAI, slow_expert: str) -> None:
    """Answered lines are kept, the others say that their time was over."""
    lines = [line("fast"), line("slow", model=slow_expert)]
    batch = ended(sdk, submitted(sdk, lines, completion_window="4s"))
    assert batch.status == "expired"
    assert [r["custom_id"] for r in results(sdk, batch.output_file_id)] == ["fast"]
    late = results(sdk, batch.error_file_id)
    assert [(r["custom_id"], r["error"]["code"]) for r in late] == [("slow", "batch_expired")]


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
