"""Bulk jobs from the upload to the results, on fake experts."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import AsyncMock

import pytest
from anthropic.types import Message

from collegium.errors import ExpertBusy, ExpertRejected
from collegium.experts.bulk.lines import Line
from collegium.registry.bulk.batches import BatchRecord
from collegium.registry.bulk.journal import BatchJournal
from collegium.registry.key import NOBODY
from collegium.router.assignment import JobLimits
from collegium.web.batch import asking, job
from collegium.web.batch.asking import Asking
from collegium.web.batch.budgeting import Budgeting
from collegium.web.batch.ledger import Ledger
from collegium.web.batch.plan import prepared
from collegium.web.protocols.chat_request import ChatRequest
from collegium.web.serving.current_router import CurrentRouter
from collegium.web.serving.decide import Decided
from collegium.web.serving.prepare import Prepared
from tests.web.bulk import create, done, ended, experts, line, results, seen, submitted, uploaded
from tests.web.conftest import Web, on_shared, until
from tests.web.messages import MESSAGES
from tests.web.messages import asking as message_asking
from tests.web.responses import checked

RESPONSES = "/v1/responses"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs look often whether they must end early."""
    monkeypatch.setattr(job, "WATCH_S", 0.01)


async def test_a_job_answers_every_line_once(web: Web) -> None:
    """Each result bears its line's id and the body that the line alone would have got."""
    lines = [line(f"row-{n}") for n in range(100)]
    batch, told = await done(web, lines, metadata={"for": "a test"})
    assert (batch["status"], batch["metadata"]) == ("completed", {"for": "a test"})
    assert batch["request_counts"] == {"total": 100, "completed": 100, "failed": 0}
    assert batch["error_file_id"] is None
    assert all(batch[f"{step}_at"] for step in ("in_progress", "finalizing", "completed"))
    assert set(told) == {f"row-{n}" for n in range(100)}
    assert len(web.experts["sql"].asked) == 100
    for response in told.values():
        assert response["status_code"] == 200
        assert response["body"]["choices"][0]["message"]["content"] == "hello there"
        assert response["body"]["collegium"]["outcome"]["status"] == "ok"
        assert response["body"]["usage"]["total_tokens"] == 9
    info = (await web.http.get(f"/v1/files/{batch['output_file_id']}")).json()
    assert (info["purpose"], info["filename"]) == ("batch_output", f"{batch['id']}_output.jsonl")


async def test_every_line_is_decided_recorded_and_counted(web: Web) -> None:
    """As a request of its own would be."""
    _, told = await done(web, [line("a"), line("b", "lists 1", "auto")])
    assert experts(told) == ["sql", "lists"]
    for response in told.values():
        kept = (await web.http.get(f"/v1/decisions/{response['request_id']}")).json()
        assert kept["decision"]["expert"] == response["body"]["model"]
        outcome = await web.outcome(response["request_id"])
        assert outcome["cost_usd"] == response["body"]["collegium"]["outcome"]["cost_usd"]
    metrics = await web.metrics()
    assert metrics['collegium_answers_total{expert="sql",status="ok"}'] == 1
    assert metrics['collegium_answers_total{expert="lists",status="ok"}'] == 1
    assert metrics['collegium_cost_usd_total{expert="sql"}'] == pytest.approx(11e-6)


async def test_lines_pass_where_requests_are_decided(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What guards requests there, guards every line, panels' included."""
    passed = []

    async def decide(request: Prepared, unavailable: Any = None) -> Decided:
        passed.append(request.query.text)
        return await web.parts.decider.decide(request, unavailable)

    monkeypatch.setattr(web.parts.pipeline, "decide", decide)
    await done(web, [line("a", "sql 1"), line("b", "sql 2", "collegium/vote", routing={"k": 2})])
    assert {"sql 1", "sql 2"} == set(passed)
    await web.chat("sql 3")
    assert passed[-1] == "sql 3"


async def test_bad_lines_go_to_the_error_file_and_the_job_goes_on(web: Web) -> None:
    """Each with its own reason; the good ones are answered."""
    web.experts["lists"].refuses = ExpertRejected("lists", "no such words", 418)
    lines = [
        line("good"),
        "{nonsense",
        line("good"),
        line("nobody", model="nobody"),
        line("no-messages", messages=[]),
        line("streaming", stream=True),
        line("refused", model="lists"),
        line("good-2"),
    ]
    batch, told = await done(web, lines)
    assert batch["request_counts"] == {"total": 8, "completed": 2, "failed": 6}
    assert set(told) == {"good", "good-2"}
    errors = await results(web, batch["error_file_id"])
    own = {error["error"]["code"] for error in errors if error["error"]}
    assert own == {"invalid_json_line", "duplicate_custom_id"}
    sent = {error["custom_id"]: error["response"] for error in errors if error["response"]}
    statuses = {name: response["status_code"] for name, response in sent.items()}
    assert statuses == {"nobody": 404, "no-messages": 400, "streaming": 400, "refused": 418}
    assert sent["nobody"]["body"]["error"]["code"] == "model_not_found"
    assert "stream" in sent["streaming"]["body"]["error"]["message"]


async def test_a_bug_in_a_line_fails_that_line_alone(
    web: Web, caplog: pytest.LogCaptureFixture
) -> None:
    """As an internal error."""
    web.experts["lists"].refuses = ZeroDivisionError("secret")
    batch, told = await done(web, [line("good"), line("bad", model="lists")])
    assert (batch["status"], list(told)) == ("completed", ["good"])
    (error,) = await results(web, batch["error_file_id"])
    assert error["response"]["status_code"] == 500
    assert error["response"]["body"]["error"]["code"] == "internal_error"
    assert "ZeroDivisionError: secret" in caplog.text


async def test_a_line_may_ask_for_a_panel(web: Web) -> None:
    """Its answer tells every call; `auto` where nothing pays is one expert; nonsense is refused."""
    lines = [
        line("vote", model="auto", routing={"aggregate": "vote", "k": 2}),
        line("by-name", model="collegium/vote", routing={"k": 2}),
        line("one", model="sql", routing={"aggregate": "vote"}),
    ]
    batch, told = await done(web, lines)
    assert batch["request_counts"] == {"total": 3, "completed": 2, "failed": 1}
    for response in told.values():
        labels = response["body"]["collegium"]
        calls = labels["panel"]["calls"]
        assert {call["expert"] for call in calls} == {"sql", "general"}
        cost = sum(call["cost_usd"] for call in calls)
        assert labels["outcome"]["cost_usd"] == pytest.approx(cost)
        kept = (await web.http.get(f"/v1/decisions/{response['request_id']}")).json()
        assert kept["decision"]["policy"] == "panel"
    (error,) = await results(web, batch["error_file_id"])
    assert "is one" in error["response"]["body"]["error"]["message"]


async def test_a_panel_waits_for_the_router_after_a_restart(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plan is kept, so that a job goes on before the router is loaded."""
    body = json.loads(line("a", model="collegium/vote", routing={"k": 2}))["body"]
    request = prepared(ChatRequest.model_validate(body), NOBODY)
    decision = (await web.parts.decider.decide(request)).decision
    loading, loaded = CurrentRouter(), web.parts.router.get()
    monkeypatch.setattr(web.parts.decider, "_router", loading)
    answered, refused = AsyncMock(), AsyncMock()
    ledger = Ledger(None, BatchJournal(web.parts.database, "batch_1", "a test"))
    parts, budgeting = replace(web.parts, router=loading), Budgeting(JobLimits(), ledger)
    job = BatchRecord("batch_0", "/v1/chat/completions", "file-0", "24h", datetime.now(UTC))
    work = Asking(parts, ledger, budgeting, answered, refused, job, waiting={})
    task = asyncio.create_task(work.ask([(Line(1, "a", body), decision)]))
    await asyncio.sleep(0.05)
    loading.put(loaded)
    await task
    assert (answered.await_count, refused.await_count) == (1, 0)


async def test_an_expert_that_is_busy_is_asked_again(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With patience, and one decision a line."""
    monkeypatch.setattr(asking, "LONGEST_WAIT_S", 0.0)
    script = web.experts["sql"]
    script.refuses, script.recovers = ExpertBusy("sql", "is full"), 3
    batch, told = await done(web, [line("a")])
    assert (batch["request_counts"]["completed"], list(told)) == (1, ["a"])
    assert len(script.asked) == 4


async def test_an_expert_that_stays_busy_is_given_up(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After some tries the line fails with its error; no line waits twice for it."""
    monkeypatch.setattr(asking, "LONGEST_WAIT_S", 0.0)
    web.experts["sql"].refuses = ExpertBusy("sql", "is full")
    batch, told = await done(web, [line("a")])
    assert (batch["status"], told) == ("completed", {})
    (error,) = await results(web, batch["error_file_id"])
    assert error["response"]["status_code"] == 429
    assert len(web.experts["sql"].asked) == asking.TRIES


async def test_a_capacity_moves_lines_to_another_expert(web: Web) -> None:
    """Those that lose least by it; the decision says so."""
    lines = [line(str(n), f"sql {n}", "auto") for n in range(10)]
    _, free = await done(web, lines)
    assert experts(free).count("sql") == 10
    _, told = await done(web, lines, routing={"capacity": {"sql": 4}})
    assert experts(told).count("sql") == 4
    moved = [response["body"]["collegium"]["decision"] for response in told.values()]
    assert [d["policy"] for d in moved].count("bulk") == 6


async def test_a_budget_over_the_job_buys_some_lines(web: Web) -> None:
    """The rest goes to who costs nothing; where nobody does, too small a budget fails the job."""
    lines = [line(str(n), f"sql {n}", "auto") for n in range(10)]
    await done(web, lines)  # how long answers are is known now
    _, free = await done(web, lines)
    forecasts = [r["body"]["collegium"]["decision"]["forecasts"][0] for r in free.values()]
    budget = 3 * max(f["cost_usd"] for f in forecasts) + max(f["most_usd"] for f in forecasts)
    batch, told = await done(web, lines, routing={"max_cost_usd": budget})
    assert 3 <= experts(told).count("sql") < 10
    assert batch["money"]["spent_usd"] <= budget
    named = [line("a")]
    poor, _ = await done(web, named, routing={"max_cost_usd": 1e-9})
    assert poor["status"] == "failed"
    assert "cost" in poor["errors"]["data"][0]["message"]


async def test_a_budget_over_the_job_counts_whole_panels(web: Web) -> None:
    """A panel costs what its members are forecast to cost."""
    lines = [line(str(n), f"sql {n}", "collegium/vote", routing={"k": 2}) for n in range(3)]
    batch, _ = await done(web, lines, routing={"max_cost_usd": 1e-9})
    assert batch["status"] == "failed"
    assert batch["errors"]["data"][0]["code"] == "no_feasible_expert"


async def test_lines_may_be_responses(web: Web) -> None:
    """Each result is the response that the line alone would have got, and nothing is stored."""

    def one(name: str, **body: Any) -> str:
        request = {"model": "sql", "input": "sql 1", **body}
        asked = {"custom_id": name, "method": "POST", "url": RESPONSES, "body": request}
        return json.dumps(asked)

    lines = [one("good"), one("items", input=[{"role": "user", "content": "sql 2"}])]
    bad: Any = {"previous": {"previous_response_id": "resp_1"}, "type": {"top_p": "x"}}
    bad |= {"stream": {"stream": True}, "tool": {"tools": [{"type": "telepathy"}]}}
    lines += [one(name, **fields) for name, fields in bad.items()]
    batch, told = await done(web, lines, endpoint=RESPONSES)
    assert batch["endpoint"] == RESPONSES
    assert set(told) == {"good", "items"}
    for response in told.values():
        body = checked(response["body"])
        assert body["output"][0]["content"][0]["text"] == "hello there"
        assert (body["store"], body["collegium"]["outcome"]["status"]) == (False, "ok")
    errors = await results(web, batch["error_file_id"])
    words = {e["custom_id"]: e["response"]["body"]["error"]["message"] for e in errors}
    assert set(words) == set(bad)
    assert "are independent" in words["previous"]
    assert "'telepathy'" in words["tool"]


async def test_lines_may_be_messages(web: Web) -> None:
    """Each result is the message that the line alone would have got."""

    def one(name: str, **body: Any) -> str:
        asked = {"custom_id": name, "method": "POST", "url": MESSAGES}
        return json.dumps({**asked, "body": message_asking("sql 1", model="sql", **body)})

    lines = [one("good", system="Be brief."), one("bad", max_tokens=0), one("s", stream=True)]
    lines.append(one("tool", tools=[{"type": "web_search_20250305", "name": "web_search"}]))
    batch, told = await done(web, lines, endpoint=MESSAGES)
    assert told.keys() == {"good"}
    body = told["good"]["body"]
    assert Message.model_validate(body).content[0].to_dict()["text"] == "hello there"
    errors = await results(web, batch["error_file_id"])
    words = {e["custom_id"]: e["response"]["body"]["error"]["message"] for e in errors}
    assert words.keys() == {"bad", "s", "tool"}
    assert "web_search_20250305" in words["tool"]


async def test_a_deleted_input_does_not_harm_its_job(web: Web) -> None:
    """A job keeps what it was given."""
    web.experts["sql"].waits = True
    source = await uploaded(web, [line(f"{n}") for n in range(5)])
    batch = (await create(web, source)).json()["id"]
    assert (await web.http.delete(f"/v1/files/{source}")).status_code == 200
    web.experts["sql"].go.set()
    assert (await ended(web, batch))["request_counts"]["completed"] == 5


@on_shared
@pytest.mark.parametrize(
    ("change", "status", "match"),
    [
        ({"input_file_id": "file-0"}, 404, "no file"),
        ({"endpoint": "/v1/rerank"}, 400, "endpoint"),
        ({"completion_window": "soon"}, 400, "completion_window"),
        ({"completion_window": "15d"}, 400, "completion_window"),
        ({"completion_window": "0s"}, 400, "completion_window"),
        ({"metadata": {"x": "y" * 513}}, 400, "metadata"),
        ({"metadata": {str(n): "x" for n in range(17)}}, 400, "metadata"),
        ({"routing": {"capacity": {"nobody": 1}}}, 400, "not registered"),
        ({"routing": {"capacity": {"sql": -1}}}, 400, "routing.capacity.sql"),
        ({"routing": {"nonsense": 1}}, 400, "routing.nonsense"),
        ({"magic": 1}, 400, "magic"),
    ],
)
async def test_a_wrong_job_is_refused_at_once(
    shared: Web, change: dict[str, Any], status: int, match: str
) -> None:
    """Before anything is written down."""
    answer = await create(shared, await uploaded(shared, [line("a")]), **change)
    assert answer.status_code == status
    assert match in answer.json()["error"]["message"]
    assert (await shared.http.get("/v1/batches")).json()["data"] == []


async def test_results_are_no_jobs_input(web: Web) -> None:
    """Their purpose is another."""
    batch, _ = await done(web, [line("a")])
    refused = await create(web, batch["output_file_id"])
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "input_file_id"


async def test_an_empty_file_fails_the_job(web: Web) -> None:
    """The reason is in the job's errors."""
    batch, _ = await done(web, [""])
    assert (batch["status"], batch["errors"]["data"][0]["code"]) == ("failed", "empty_file")
    assert batch["failed_at"] is not None


async def test_cancelling_keeps_what_is_answered(web: Web) -> None:
    """What was finished is in the output file, what was not is cancelled; once is enough."""
    web.experts["lists"].waits = True
    lines = [line("fast"), *(line(f"slow-{n}", model="lists") for n in range(3))]
    batch = await submitted(web, lines)

    async def answered() -> bool:
        return bool((await seen(web, batch))["request_counts"]["completed"] == 1)

    await until(answered)
    await until(lambda: len(web.experts["lists"].asked) == 3)
    cancelling = (await web.http.post(f"/v1/batches/{batch}/cancel")).json()
    assert cancelling["status"] == "cancelling"
    end = await ended(web, batch)
    assert (end["status"], end["cancelled_at"] is None) == ("cancelled", False)
    found = await results(web, end["output_file_id"])
    assert [result["custom_id"] for result in found] == ["fast"]
    assert web.experts["lists"].left == 3
    again = await web.http.post(f"/v1/batches/{batch}/cancel")
    assert (again.status_code, again.json()["error"]["code"]) == (409, "batch_ended")
    await web.parts.background.finish()
    metrics = await web.metrics()
    assert metrics['collegium_answers_total{expert="lists",status="cancelled"}'] == 3


async def test_lines_that_are_late_expire(web: Web) -> None:
    """Answered lines are kept, the others say that their time was over."""
    web.experts["lists"].waits = True
    batch = await submitted(
        web, [line("fast"), line("slow", model="lists")], completion_window="1s"
    )
    end = await ended(web, batch)
    assert end["status"] == "expired"
    found = await results(web, end["output_file_id"])
    assert [result["custom_id"] for result in found] == ["fast"]
    late = await results(web, end["error_file_id"])
    assert [(r["custom_id"], r["error"]["code"]) for r in late] == [("slow", "batch_expired")]


async def test_jobs_are_listed_newest_first(web: Web) -> None:
    """In pages."""
    made = [await submitted(web, [line("a")]) for _ in range(3)]
    page = (await web.http.get("/v1/batches", params={"limit": 2})).json()
    assert ([batch["id"] for batch in page["data"]], page["has_more"]) == (made[:0:-1], True)
    rest = (await web.http.get("/v1/batches", params={"after": page["last_id"]})).json()
    assert [batch["id"] for batch in rest["data"]] == made[:1]
    assert (await web.http.get("/v1/batches", params={"limit": 0})).status_code == 400
    for batch in made:
        assert (await ended(web, batch))["status"] == "completed"


@on_shared
@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("POST", "/cancel")])
async def test_a_job_that_nobody_knows_is_said_to_be_unknown(
    shared: Web, method: str, path: str
) -> None:
    """By all that names one."""
    answer = await shared.http.request(method, f"/v1/batches/batch_none{path}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "batch_not_found")


async def test_the_window_is_when_the_job_expires(web: Web) -> None:
    """Seconds, minutes, hours and days."""
    source = await uploaded(web, [line("a")])
    for window, seconds in (("90s", 90), ("5m", 300), ("2h", 7200), ("14d", 14 * 86_400)):
        batch = (await create(web, source, completion_window=window)).json()
        assert batch["expires_at"] - batch["created_at"] == seconds
        assert (await ended(web, batch["id"]))["status"] == "completed"
    lasting = datetime.fromtimestamp(batch["expires_at"], UTC) - datetime.now(UTC)
    assert lasting > timedelta(days=13)
