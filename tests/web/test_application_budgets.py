"""Budgets of applications in the service: counted as answers end, refused when they are spent."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from collegium.registry.applications import ApplicationRegistry
from collegium.router.pacing import Pacing
from collegium.web.serving.budgets import Budgets
from collegium.web.serving.recognition import Recognition
from tests.web.conftest import Web, until
from tests.web.test_batches import done, line

ANSWER = 11e-6
"""What one of sql's answers costs."""
PATH = "/v1/applications"


async def asked(web: Web, application: str | None, **fields: Any) -> httpx.Response:
    """One of sql's answers, for an application."""
    metadata = {} if application is None else {"metadata": {"application": application}}
    answer = await web.chat("sql 1", model="sql", **metadata, **fields)
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
    for _ in range(2):
        assert (await asked(web, "chat")).status_code == 200
    refused = await asked(web, "chat")
    error = refused.json()["error"]
    assert (refused.status_code, error["code"]) == (429, "application_budget_spent")
    shown = await spending(web, "chat")
    assert (shown["spent_usd"], shown["left_usd"]) == (pytest.approx(3 * ANSWER), 0.0)
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
    for usd, status in ((0.0, 429), (1.5 * ANSWER, 200), (1.5 * ANSWER, 429), (None, 200)):
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
    await budget(web, "chat", 5.5 * ANSWER)
    merged = await web.http.post(f"{PATH}/desk/merge", json={"into": "chat"})
    assert merged.json()["spending"] is None
    assert (await spending(web, "chat"))["spent_usd"] == pytest.approx(3 * ANSWER)
    for application in ("desk", "chat", "desk"):
        assert (await asked(web, application)).status_code == 200
    refused = await asked(web, "desk")
    assert refused.status_code == 429
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
    pacing = Pacing({})
    registry = ApplicationRegistry(web.parts.database)
    await Recognition(registry, budgets=Budgets(pacing, web.parts.log)).read()
    window = pacing.window("chat")
    assert window is not None
    assert window.spent == pytest.approx(3 * ANSWER)


async def test_replicas_follow_a_budget(web: Web) -> None:
    """One that another process set is known after the next reading."""
    await asked(web, "chat")
    await web.parts.recognition.synchronise()
    await ApplicationRegistry(web.parts.database).change(
        "chat", policy={"budget_usd": 0.5 * ANSWER}
    )
    await web.parts.recognition.synchronise()
    assert (await asked(web, "chat")).status_code == 429


async def test_answers_in_flight_are_reserved(web: Web) -> None:
    """With their forecast, until they end."""
    await asked(web, "chat")
    await budget(web, "chat", 1.0)
    script = web.experts["sql"]
    script.waits = True
    answering = asyncio.create_task(asked(web, "chat"))
    await until(lambda: len(script.asked) == 2)
    assert (await spending(web, "chat"))["reserved_usd"] > 0.0
    script.go.set()
    await answering
    assert (await spending(web, "chat"))["reserved_usd"] == 0.0


async def test_a_job_spends_its_applications_budget(web: Web) -> None:
    """A line's own `metadata` tells whose money it is."""
    await asked(web, "nightly")
    await budget(web, "nightly", 1.0)
    tag = {"application": "nightly"}
    lines = [line(str(n), f"sql {n}", metadata=tag) for n in range(3)]
    await done(web, lines)
    assert (await spending(web, "nightly"))["spent_usd"] == pytest.approx(4 * ANSWER)


async def test_lengths_are_learnt_by_application(web: Web) -> None:
    """What one application's answers have say little of another's."""
    web.experts["sql"].usage = {"prompt_tokens": 7, "completion_tokens": 900}
    for _ in range(10):
        await asked(web, "chat")
    chat, other = [
        (await asked(web, name)).json()["collegium"]["decision"]["forecasts"][0]["output_tokens"]
        for name in ("chat", "other")
    ]
    assert chat > 500
    assert chat > 1.5 * other
