"""The service learns by itself, within its budget, and stops where it would need a person."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from collegium.errors import SettingsError
from collegium.settings import load_settings
from collegium.web.watching import schedule, watcher
from collegium.web.watching.schedule import objection
from tests.web.conftest import Serve, Web, until
from tests.web.test_learning import RUNS, VERSIONS, ended, proposed, questions, speak
from tests.web.test_watching import alarms

GOOD = {"confirmed": True, "policies": {"balanced": {"loss_points": 0.4}}}
POOR = {"confirmed": True, "policies": {"balanced": {"loss_points": 2.5}}}


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher, "EVERY_S", 0.05)
    monkeypatch.setattr(schedule, "LOOK", timedelta(0))
    monkeypatch.setattr(schedule, "TRY_AGAIN", timedelta(0))


def test_a_schedule_needs_a_budget() -> None:
    """Or it could cost any sum."""
    with pytest.raises(SettingsError, match="learn_every needs learn_budget_usd"):
        load_settings(learn_every=24)


@pytest.mark.parametrize(
    ("report", "words"),
    [
        (GOOD, None),
        (POOR, "loses 2.5 points"),
        (GOOD | {"confirmed": False}, "collegium learn confirm lrn_1"),
    ],
)
def test_only_a_good_report_is_followed(report: dict[str, Any], words: str | None) -> None:
    """Else a person is told what to do."""
    found = objection(report, "lrn_1", "rtr_1")
    assert (words is None and found is None) or (words or "") in (found or "")


async def scheduled(web: Web) -> Any:
    """The run that the service has started, when it has ended."""

    async def there() -> bool:
        return bool((await web.http.get(RUNS)).json()["data"])

    await until(there)
    return await ended(web, (await web.http.get(RUNS)).json()["data"][0]["id"])


async def test_marks_that_nobody_confirmed_need_a_person(serve: Serve) -> None:
    """The run is made of what was recorded; its router stays a candidate."""
    async with serve(encoder="static", learn_every=1000, learn_budget_usd=5, record="full") as web:
        speak(web)
        for number in range(60):
            await web.chat(f"{('sql', 'lists')[number % 2]} {number}")
        await web.parts.background.finish()
        run = await scheduled(web)
        assert (run["owner"], run["status"]) == ("schedule", "finished")
        assert run["estimate"]["most_usd"] <= 5

        async def told() -> bool:
            return bool(await alarms(web))

        await until(told)
        (alarm,) = await alarms(web)
        assert alarm["kind"] == "needs_a_person"
        assert f"collegium learn confirm {run['id']}" in alarm["detail"]
        version = (await web.http.get(f"{VERSIONS}/{run['router']}")).json()
        assert version["status"] == "candidate"


async def test_a_router_with_a_good_report_is_tried_by_itself(serve: Serve) -> None:
    """As a canary that goes on, where a program made the marks."""
    async with serve(encoder="static", learn_every=1000, learn_budget_usd=5) as web:
        speak(web)
        run = await proposed(web, questions(80), race=False)
        await web.parts.learning_runs.change(run["id"], out_of=("proposed",), owner="schedule")
        await web.http.post(f"{RUNS}/{run['id']}/start")
        run = await ended(web, run["id"])

        async def tried() -> bool:
            found = (await web.http.get(f"{VERSIONS}/{run['router']}")).json()
            return (found["status"], found["share"], found["automatic"]) == ("canary", 0.01, True)

        await until(tried)
        assert await alarms(web) == []
