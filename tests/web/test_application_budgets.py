"""Budgets of applications in the service: counted as answers end, refused when they are spent."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from collegium.registry.applications import ApplicationRegistry
from collegium.web.batch import asking
from collegium.web.serving.build import build
from tests.web.bulk import done, line
from tests.web.conftest import Web, until

USAGE = {"prompt_tokens": 7, "completion_tokens": 64, "total_tokens": 71}
ANSWER = 135e-6
"""What one of sql's answers costs: no more than it may cost."""
PATH = "/v1/applications"


async def asked(web: Web, application: str | None, **fields: Any) -> httpx.Response:
    """One of sql's answers, for an application."""
    web.experts["sql"].usage = USAGE
    metadata = {} if application is None else {"metadata": {"application": application}}
    answer = await web.chat("sql 1", model="sql", max_tokens=64, **metadata, **fields)
    await web.parts.background.finish()  # its cost is in the log
    return answer


async def budget(web: Web, application: str, usd: float | None, **policy: Any) -> Any:
    """Set an application's budget; the application as the service then shows it."""
    changes = {"policy": {"budget_usd": usd, **policy}}
    answer = await web.http.patch(f"{PATH}/{application}", json=changes)
    assert answer.status_code == 200, answer.text
    return answer.json()["spending"]


async def spending(web: Web, application: str) -> Any:
    """What an application has spent of its budget."""
    return (await web.http.get(f"{PATH}/{application}")).json()["spending"]


async def test_a_spent_budget_refuses_its_application_alone(web: Web) -> None:
    """What was spent before it was set counts; the refusal names it and when the window ends."""
    await asked(web, "chat")
    assert await spending(web, "chat") is None
    shown = await budget(web, "chat", 2.5 * ANSWER)
    assert shown["spent_usd"] == pytest.approx(ANSWER)
    assert shown["left_usd"] == pytest.approx(1.5 * ANSWER)
    assert (await asked(web, "chat")).status_code == 200
    refused = await asked(web, "chat")
    error = refused.json()["error"]
    assert (refused.status_code, error["code"]) == (402, "insufficient_quota")
    shown = await spending(web, "chat")
    assert shown["spent_usd"] == pytest.approx(2 * ANSWER)
    assert shown["left_usd"] == pytest.approx(0.5 * ANSWER)
    ends = datetime.fromisoformat(shown["window_ends"])
    assert "'chat'" in error["message"]
    assert f"{ends:%Y-%m-%d %H:%M:%S} UTC" in error["message"]
    seconds = (ends - datetime.now(UTC)).total_seconds()
    assert int(refused.headers["retry-after"]) == pytest.approx(seconds, abs=2)
    for other in ("other", None):
        assert (await asked(web, other)).status_code == 200


async def test_changes_count_from_the_next_request_on(web: Web) -> None:
    """More money, none at all, no budget; what was spent stays spent."""
    await asked(web, "chat")
    for usd, status in ((0.0, 402), (2.1 * ANSWER, 200), (2.1 * ANSWER, 402), (None, 200)):
        await budget(web, "chat", usd)
        assert (await asked(web, "chat")).status_code == status
    assert await spending(web, "chat") is None


async def test_another_window_counts_its_own_answers(web: Web) -> None:
    """A window of so many seconds is over after them, at most."""
    await asked(web, "chat")
    shown = await budget(web, "chat", 1.0, budget_window_s=1e9)
    assert shown["spent_usd"] == pytest.approx(ANSWER)
    shown = await budget(web, "chat", 1.0, budget_window_s=1e-3)
    assert shown["spent_usd"] == 0.0


async def test_merged_applications_share_a_budget(web: Web) -> None:
    """Also what they spent before; split, what one spent while it was merged stays the other's."""
    for application in ("chat", "desk", "desk"):
        await asked(web, application)
    await budget(web, "chat", 6.1 * ANSWER)
    merged = await web.http.post(f"{PATH}/desk/merge", json={"into": "chat"})
    assert merged.json()["spending"] is None
    assert (await spending(web, "chat"))["spent_usd"] == pytest.approx(3 * ANSWER)
    for application in ("desk", "chat", "desk"):
        assert (await asked(web, application)).status_code == 200
    refused = await asked(web, "desk")
    assert refused.status_code == 402
    assert "'chat'" in refused.json()["error"]["message"]
    await web.http.post(f"{PATH}/desk/split", json={})
    assert (await spending(web, "chat"))["spent_usd"] == pytest.approx(4 * ANSWER)
    assert (await asked(web, "desk")).status_code == 200


async def test_a_restarted_service_knows_what_was_spent(web: Web) -> None:
    """All of the window, also of what was merged."""
    for application in ("chat", "desk"):
        await asked(web, application)
    await web.http.post(f"{PATH}/desk/merge", json={"into": "chat"})
    await asked(web, "desk")
    await budget(web, "chat", 3.5 * ANSWER)
    parts = build(web.parts.settings)  # as after a restart: nothing is in memory
    await parts.recognition.read()
    (level,) = await parts.budgets.counts.levels([parts.budgets.limits.policies()["chat"]])
    await parts.database.close()
    assert (level.used, level.held) == (round(3e9 * ANSWER), 0)


async def test_replicas_follow_a_budget(web: Web) -> None:
    """One that another process set is known after the next reading."""
    await asked(web, "chat")
    await web.parts.recognition.synchronise()
    await ApplicationRegistry(web.parts.database).change(
        "chat", policy={"budget_usd": 0.5 * ANSWER}
    )
    await web.parts.recognition.synchronise()
    assert (await asked(web, "chat")).status_code == 402


async def test_answers_in_flight_are_reserved(web: Web) -> None:
    """At what they may cost at most, until they end."""
    await asked(web, "chat")
    await budget(web, "chat", 1.0)
    script = web.experts["sql"]
    script.waits = True
    answering = asyncio.create_task(asked(web, "chat"))
    await until(lambda: len(script.asked) == 2)
    assert (await spending(web, "chat"))["reserved_usd"] > 0.0
    script.go.set()
    await answering
    await web.parts.background.finish()
    assert (await spending(web, "chat"))["reserved_usd"] == 0.0


async def test_a_job_spends_its_applications_budget(web: Web) -> None:
    """A line's own `metadata` tells whose money it is."""
    await asked(web, "nightly")
    await budget(web, "nightly", 1.0)
    tag = {"application": "nightly"}
    lines = [line(str(n), f"sql {n}", metadata=tag, model="sql") for n in range(3)]
    await done(web, lines)
    await web.parts.background.finish()
    assert (await spending(web, "nightly"))["spent_usd"] == pytest.approx(4 * ANSWER)


async def test_a_job_waits_until_its_applications_budget_has_money(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lines don't fail: it goes on where the budget grows, or the window ends."""
    monkeypatch.setattr(asking, "PAUSE_S", 0.2)
    await asked(web, "nightly")
    await budget(web, "nightly", 2.1 * ANSWER)
    tag = {"application": "nightly"}
    lines = [line(str(n), f"sql {n}", metadata=tag, max_tokens=64) for n in range(3)]
    job = asyncio.create_task(done(web, lines))
    await until(lambda: len(web.experts["sql"].asked) == 2)
    await asyncio.sleep(1.5)
    assert len(web.experts["sql"].asked) == 2
    assert not job.done()
    (waiting,) = (await web.http.get("/v1/batches")).json()["data"]
    (why,) = waiting["errors"]["data"]
    assert (waiting["status"], why["code"]) == ("in_progress", "insufficient_quota")
    assert "The job is waiting: The application 'nightly' may use" in why["message"]
    await budget(web, "nightly", 1.0)
    batch, _ = await job
    assert batch["errors"] is None
    assert batch["request_counts"]["completed"] == 3


async def test_lengths_are_learnt_by_application(web: Web) -> None:
    """What one application's answers have say little of another's."""
    for _ in range(10):
        web.experts["sql"].usage = {"prompt_tokens": 7, "completion_tokens": 900}
        await web.chat("sql 1", model="sql", metadata={"application": "chat"})
    chat, other = [
        (await web.chat("sql 1", model="sql", metadata={"application": name})).json()
        for name in ("chat", "other")
    ]
    chat, other = (
        each["collegium"]["decision"]["forecasts"][0]["output_tokens"] for each in (chat, other)
    )
    assert chat > 500
    assert chat > 1.5 * other
