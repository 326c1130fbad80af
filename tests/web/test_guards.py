"""A router that is tried on a share of the traffic: rolled back where it is worse."""

from __future__ import annotations

from dataclasses import replace

import pytest

from collegium.errors import ExpertUnavailable
from collegium.registry.learning.guarding import Became
from collegium.web.watching import guards, watcher
from tests.web.conftest import Web, until
from tests.web.test_shadow import VERSIONS, version
from tests.web.test_watching import alarms

__all__ = ["version"]  # a fixture
GOOD = Became(
    1000, 10, 30, 1000, usd=1.0, usd_squares=0.0012, scores=400, score=360, score_squares=350
)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher, "EVERY_S", 0.05)


def breached(tried: Became) -> list[str]:
    """The names of the guards that are breached beside a good router."""
    return [guard.name for guard in guards.guards(tried, GOOD) if guard.breached]


@pytest.mark.parametrize(
    ("tried", "names"),
    [
        (GOOD, []),
        (Became(), []),
        (replace(GOOD, errors=120), ["share of failed answers"]),
        (replace(GOOD, turned=180), ["share of answers that people turned from"]),
        (replace(GOOD, score=240, score_squares=220), ["rated below the best by"]),
        (replace(GOOD, usd=2.0, usd_squares=0.0045), ["dollars a request"]),
        (replace(GOOD, usd=1.1, usd_squares=0.0014), []),
    ],
)
def test_each_guard_sees_its_own_breach(tried: Became, names: list[str]) -> None:
    """And a version that is as good breaches none."""
    assert breached(tried) == names


async def tried(web: Web, version: str, **body: object) -> None:
    """Let a version decide half of the requests."""
    await web.http.post(f"{VERSIONS}/{version}/promote", json=body)
    await until(lambda: web.parts.router.canary)


async def status(web: Web, version: str) -> str:
    """The version's status and share."""
    found = (await web.http.get(f"{VERSIONS}/{version}")).json()
    return f"{found['status']} {found['share']:.2f}"


async def test_a_version_whose_answers_fail_is_rolled_back(web: Web, version: str) -> None:
    """By itself, with an alarm; what served before decides again."""
    await tried(web, version, share=0.5)
    fails = ExpertUnavailable("sql", "is down")
    for number in range(150):
        at = 0.1 if number % 2 else 0.9
        web.parts.router._draw = lambda at=at: at  # type: ignore[misc]
        web.experts["sql"].refuses = fails if number % 2 else None
        await web.chat(f"sql {number}", routing={"failover": False})
    await web.parts.background.finish()

    async def over() -> bool:
        return await status(web, version) == "rolled_back 0.00" and bool(await alarms(web))

    await until(over)
    (alarm,) = await alarms(web)
    assert (alarm["kind"], alarm["router"]) == ("canary", version)
    assert "share of failed answers: " in alarm["detail"]
    await until(lambda: web.parts.router.canary is None)


async def test_a_good_version_goes_on_to_all_of_the_traffic(
    web: Web, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From 1 % to 10 % and all, where it was promoted to do so."""
    monkeypatch.setattr(guards, "STEP", 5)
    await tried(web, version, automatic=True)
    web.parts.router._draw = lambda: 0.0
    seen = [await status(web, version)]

    async def serves() -> bool:
        await web.chat("sql 1")
        await web.parts.background.finish()
        if (now := await status(web, version)) != seen[-1]:
            seen.append(now)
        return now == "serving 1.00"

    await until(serves, timeout_s=60)
    assert seen[:2] == ["canary 0.01", "canary 0.10"]
    assert await alarms(web) == []
