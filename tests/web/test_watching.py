"""Experts are watched: by ratings, by replays, and by the model that their upstream names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from collegium.registry.learning.watching import Replay
from collegium.settings import load_settings
from collegium.web.serving.build import build
from collegium.web.watching import replays, watcher
from tests.web.conftest import Serve, Web, until
from tests.web.fakes import FakeExperts
from tests.web.test_learning import RIGHT, RUNS, ended, proposed, questions, speak

ALARMS = "/v1/alarms"


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look often: the tests do not wait for seconds."""
    monkeypatch.setattr(watcher, "EVERY_S", 0.05)
    monkeypatch.setattr(watcher, "RENEW_S", 0.2)
    monkeypatch.setattr(replays, "IDLE_S", 0.05)
    monkeypatch.setattr(replays, "READ_EVERY_S", 0.2)
    monkeypatch.setattr(replays, "MOST_A_MINUTE", 100_000)


async def alarms(web: Web, status: str = "open") -> list[dict[str, Any]]:
    """The alarms that the operator sees."""
    return list((await web.http.get(ALARMS, params={"status": status})).json()["data"])


async def rated(web: Web, count: int, score: float, text: str = "sql 1") -> list[str]:
    """Who answered so many questions, all of which got this score."""
    answered, opinions = [], []
    for _ in range(count):
        answer = (await web.chat(text)).json()
        answered.append(answer["model"])
        opinions.append({"decision_id": answer["collegium"]["decision"]["id"], "score": score})
    await web.parts.background.finish()
    said = await web.http.post("/v1/feedback/bulk", json=opinions)
    assert {line["status"] for line in said.json()["data"]} == {200}
    return answered


async def forecast(web: Web, expert: str) -> dict[str, Any]:
    """What is forecast of an expert on a question about SQL."""
    body = {"messages": [{"role": "user", "content": "sql 1"}]}
    decision = (await web.http.post("/v1/route", json=body)).json()
    return next(dict(f) for f in decision["forecasts"] if f["expert"] == expert)


@pytest.fixture
async def worse(web: Web) -> Web:
    """A service whose expert for SQL got worse, and that has noticed."""
    assert set(await rated(web, 120, 1.0)) == {"sql"}
    await rated(web, 30, 0.0)

    async def told() -> bool:
        return bool(await alarms(web))

    await until(told)
    await until(lambda: web.parts.lowered.by_expert)
    return web


async def test_bad_ratings_raise_an_alarm_and_move_the_traffic(worse: Web) -> None:
    """The forecast is lowered, with the reason; metrics show it."""
    (alarm,) = await alarms(worse)
    assert (alarm["kind"], alarm["expert"], alarm["status"]) == ("drift", "sql", "open")
    assert alarm["lowered"] > 0.5
    lowered = await forecast(worse, "sql")
    assert lowered["lowered"] == pytest.approx(min(alarm["lowered"], lowered["lowered"]))
    answer = (await worse.chat("sql 5")).json()
    assert answer["model"] != "sql"
    reason = answer["collegium"]["decision"]["reason"]
    assert "An alarm is open: sql's chance is lowered by" in reason
    metrics = await worse.metrics()
    assert metrics['collegium_alarms{kind="drift"}'] == 1
    assert metrics['collegium_forecast_lowered{expert="sql"}'] == alarm["lowered"]


async def test_an_alarm_that_is_closed_lowers_nothing(worse: Web) -> None:
    """From the next look on; it stays in the list of closed ones."""
    (alarm,) = await alarms(worse)
    closed = await worse.http.post(f"{ALARMS}/{alarm['id']}/close", json={"reason": "mended"})
    assert (closed.json()["status"], closed.json()["closed_for"]) == ("closed", "mended")
    await until(lambda: not worse.parts.lowered.by_expert)
    assert (await forecast(worse, "sql"))["lowered"] == 0
    assert await alarms(worse) == []
    assert [a["id"] for a in await alarms(worse, "closed")] == [alarm["id"]]


async def test_an_expert_that_recovers_closes_its_alarm(worse: Web) -> None:
    """Once its answers are rated well again, those that were asked by name."""
    opinions = []
    for number in range(40):
        answer = (await worse.chat(f"sql {number}", model="sql")).json()
        opinions.append({"decision_id": answer["collegium"]["decision"]["id"], "score": 1})
    await worse.parts.background.finish()
    await worse.http.post("/v1/feedback/bulk", json=opinions)

    async def over() -> bool:
        return not await alarms(worse)

    await until(over)
    (alarm,) = await alarms(worse, "closed")
    assert alarm["closed_for"].startswith("recovered")


async def test_another_replica_follows_an_alarm(worse: Web, tmp_path: Path) -> None:
    """As long as the first one leads, it raises none itself."""
    other = build(load_settings(embedded=False, data_dir=tmp_path), clients=FakeExperts())
    await watcher.Watcher(other).look()
    assert other.lowered.by_expert == worse.parts.lowered.by_expert
    assert not await other.leases.hold(watcher.LEASE, "another", 1)
    await other.database.close()


async def test_another_model_behind_the_same_name_raises_an_alarm(web: Web) -> None:
    """The forecasts of its expert are lowered a little until somebody has looked."""
    web.experts["sql"].model = "qwen-2"
    await web.chat("sql 1", model="sql")
    await web.parts.background.finish()
    assert await alarms(web) == []
    web.experts["sql"].model = "qwen-3"
    await web.chat("sql 2", model="sql")
    await web.parts.background.finish()
    (alarm,) = await alarms(web)
    assert alarm["kind"] == "model_changed"
    assert alarm["evidence"] == {"before": "qwen-2", "now": "qwen-3"}
    await until(lambda: web.parts.lowered.by_expert)
    assert (await forecast(web, "sql"))["lowered"] == pytest.approx(alarm["lowered"])


async def test_known_prompts_are_replayed_within_the_share(serve: Serve) -> None:
    """Marked by the program that marked them first, with nobody who waits for the answers."""
    async with serve(encoder="static", watch_share=0.5) as web:
        speak(web)
        run = await proposed(web, questions(60), race=False)
        await web.http.post(f"{RUNS}/{run['id']}/start")
        await ended(web, run["id"])
        asked = len(web.experts["sql"].asked)
        assert await web.parts.watching.replaying(run_started(run)) == (0.0, 0)
        web.experts["general"].usage = {"prompt_tokens": 9, "completion_tokens": 4000}
        for number in range(100):
            await web.chat(f"sql {number}", model="general")
        await web.parts.background.finish()
        await until(lambda: len(web.experts["sql"].asked) > asked + 9)
        usd, count = await web.parts.watching.replaying(run_started(run))
        answered_usd, answered = await web.parts.watching.answering(run_started(run))
        assert count > 20
        assert count <= 0.5 * answered
        assert usd <= 0.5 * answered_usd
        replay = (await web.parts.watching.replays(run_started(run)))[0]
        assert replay.score == (RIGHT[replay.expert] in ("both", RIGHT[replay.application or ""]))


async def test_replays_alone_raise_an_alarm(web: Web) -> None:
    """Although nobody rates an answer; who is asked the same and is right is no worse."""

    async def replayed(expert: str, number: int, score: float) -> None:
        replay = Replay(expert, expert, f"prompt {number}", "desk", score, 0.9, 0.0)
        await web.parts.watching.replayed(replay)

    for number in range(150):
        await replayed("sql", number, 1.0 if number < 120 else 0.0)
        await replayed("lists", number, 1.0)

    async def told() -> bool:
        return bool(await alarms(web))

    await until(told)
    (alarm,) = await alarms(web)
    assert (alarm["kind"], alarm["expert"]) == ("drift", "sql")
    assert set(alarm["evidence"]["applications"]) == {"desk"}


def run_started(run: Any) -> Any:
    """When a run was made."""
    from datetime import datetime

    return datetime.fromisoformat(run["created_at"])


async def test_only_the_operator_sees_alarms(serve: Serve) -> None:
    """They name experts that a caller need not know."""
    keys = {"api_key": "operator-key", "caller_keys": {"anna": "anna-s-own-key"}}
    async with serve(**keys) as web:
        web.http.headers["authorization"] = "Bearer anna-s-own-key"
        assert (await web.http.get(ALARMS)).status_code == 403
        assert (await web.http.post(f"{ALARMS}/alm_1/close", json={})).status_code == 403
