"""/v1/usage, /v1/usage/comparison, /v1/experts/status and the filters of decisions."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from collegium.errors import ExpertUnavailable, RateLimited
from collegium.registry.budgets.usage import Usage
from tests.browser import seeded
from tests.web.access import ADMIN, CALLER, KEYS, bearer
from tests.web.conftest import Serve, Web
from tests.web.fakes import POOL

TODAY = datetime.now(UTC).date()


async def ended(web: Web, *texts: str, **fields: Any) -> None:
    for text in texts:
        await web.chat(text, **fields)
    await web.parts.background.finish()


async def usage(web: Web, query: str = "", **headers: str) -> Any:
    answer = await web.http.get(f"/v1/usage{query}", headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_usage_is_what_the_answers_took(web: Web) -> None:
    """Priced ones and failed ones, by expert; the sums are those of the decisions."""
    await ended(web, "sql 1", "sql 2")
    web.experts["lists"].refuses = ExpertUnavailable("lists", "it is down")
    await ended(web, "lists 1", model="lists")

    found = await usage(web, "?by=expert")

    decisions = (await web.http.get("/v1/decisions")).json()["data"]
    spent = sum(d["outcome"]["cost_usd"] for d in decisions)
    assert found["total"]["cost_usd"] == pytest.approx(spent)
    assert found["total"]["requests"] == 3
    rows = {row["expert"]: row for row in found["data"]}
    assert rows["sql"]["requests"] == 2
    assert rows["sql"]["prompt_tokens"] == 14
    assert rows["sql"]["mean_latency_ms"] > 0
    assert (rows["lists"]["errors"], rows["lists"]["mean_latency_ms"]) == (1, None)
    assert found["data"][0]["expert"] == "sql", "the dearest comes first"


async def test_usage_by_nothing_and_by_two(web: Web) -> None:
    """Only the total, and one row for each pair."""
    before = datetime.now(UTC).date()  # not when this file was read: midnight may pass
    await ended(web, "sql 1", metadata={"application": "desk"})
    assert (await usage(web))["data"] == []
    [row] = (await usage(web, "?by=day&by=application"))["data"]
    assert (row["day"], row["application"]) == (before.isoformat(), "desk")
    assert (await usage(web, "?application=other"))["total"]["requests"] == 0
    assert (await usage(web, f"?before={before}"))["total"]["requests"] == 0
    assert (await usage(web, "?by=expert&limit=1"))["has_more"] is False


@pytest.mark.parametrize(
    "query",
    ["by=colour", "since=yesterday", "since=2026-02-30", "limit=0", "since=0001-01-01",
     "since=9999-12-31", "before=9999-12-31", f"since={TODAY}&before={TODAY}"],
)  # fmt: skip
async def test_what_makes_no_sense_is_refused(web: Web, query: str) -> None:
    """With the parameter's name."""
    answer = await web.http.get(f"/v1/usage?{query}")
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"]


async def test_a_caller_sees_its_own_usage_and_comparison(serve: Serve) -> None:
    """The operator sees all, and may name one."""
    async with serve(**KEYS) as web:
        for key in (ADMIN, CALLER):
            body = {"messages": [{"role": "user", "content": "sql 1"}]}
            await web.http.post("/v1/chat/completions", json=body, headers=bearer(key))
        await web.parts.background.finish()
        admin, shop = bearer(ADMIN), bearer(CALLER)
        assert (await usage(web, **admin))["total"]["requests"] == 2
        assert [r["owner"] for r in (await usage(web, "?by=owner", **admin))["data"]] == [
            "",
            "shop",
        ]
        assert (await usage(web, "?owner=shop", **admin))["total"]["requests"] == 1
        assert [r["owner"] for r in (await usage(web, "?by=owner", **shop))["data"]] == ["shop"]
        assert (await web.http.get("/v1/usage?owner=lab", headers=shop)).status_code == 403
        assert (await web.http.get("/v1/usage?owner=", headers=shop)).status_code == 403


async def with_traffic(web: Web, count: int = 2000) -> None:
    await seeded.write(web.parts.database, seeded.rows(count, datetime.now(UTC)))


async def test_few_marks_say_nothing(web: Web) -> None:
    """And it is told how many there are."""
    found = (await web.http.get("/v1/usage/comparison")).json()
    assert (found["enough"], found["marks"], found["comparison"]) == (False, 0, None)
    assert found["calibration"] is None


async def test_the_comparison_tells_the_truth_of_a_world_that_is_known(web: Web) -> None:
    """`large` is best; what was chosen loses 17 points and saves four fifths, within the margins.

    Random choice at equal cost does as well or better than what chooses by chance.
    """
    await with_traffic(web)
    found = (await web.http.get("/v1/usage/comparison")).json()
    told, figures = found["comparison"], found["comparison"]["figures"]
    assert found["enough"]
    assert told["best_single"] == "large"
    truth = 100 * (0.86 - (5 * 0.62 + 3 * 0.78 + 0.86) / 9)
    assert abs(figures["loss_points"] - truth) < figures["margin_points"]
    low, high = figures["saved_interval"]
    assert low < figures["saved"] < high
    assert figures["saved"] == pytest.approx(0.8, abs=0.1)
    assert figures["unmeasured"] > 0.5
    assert told["above_random_points"] < told["above_random_margin_points"]
    bins = found["calibration"]["bins"]
    assert sum(each["marks"] for each in bins) == found["marks"]
    inside = sum(each["low"] <= each["forecast"] <= each["high"] for each in bins)
    assert inside >= len(bins) - 2


async def test_the_filters_of_decisions(web: Web) -> None:
    """By who was chosen and by what became of it, alone and together."""
    await with_traffic(web, 300)

    async def listed(query: str) -> list[Any]:
        answer = await web.http.get(f"/v1/decisions?limit=100&{query}")
        assert answer.status_code == 200, answer.text
        return list(answer.json()["data"])

    assert {d["decision"]["expert"] for d in await listed("expert=coder")} == {"coder"}
    assert {d["outcome"]["status"] for d in await listed("status=error")} == {"error"}
    both = await listed("status=ok&expert=large")
    assert {(d["decision"]["expert"], d["outcome"]["status"]) for d in both} == {("large", "ok")}
    assert await listed("status=open") == []
    assert (await web.http.get("/v1/decisions?status=lost")).status_code == 400
    assert (await web.http.delete("/v1/decisions?expert=coder")).status_code == 400


async def test_an_answer_under_way_is_open(web: Web) -> None:
    """As long as it is; a decision without an answer of yesterday is not."""
    [(decision, *_)] = seeded.rows(1, datetime.now(UTC))
    await web.parts.log.record(decision)
    old = replace(decision, id="dec_old", created_at=decision.created_at - timedelta(days=1))
    await web.parts.log.record(old)
    found = (await web.http.get("/v1/decisions?status=open")).json()["data"]
    assert [each["id"] for each in found] == [decision.id]


async def test_each_expert_has_a_state(web: Web) -> None:
    """Disabled ones, those that are asked now, and those whose breaker is open."""
    await web.http.patch("/v1/experts/lists", json={"enabled": False})
    states = {e["name"]: e for e in (await web.http.get("/v1/experts/status")).json()["data"]}
    assert (states["sql"]["state"], states["sql"]["breaker"]) == ("remote", "closed")
    assert states["lists"]["state"] == "disabled"
    assert states["sql"]["waiting"] == states["sql"]["in_flight"] == 0


async def test_a_pause_that_a_provider_asked_for_is_shown(web: Web) -> None:
    """In the state of the expert and in the metrics, until its probe is answered."""

    async def paused_s() -> tuple[int, str]:
        states = {e["name"]: e for e in (await web.http.get("/v1/experts/status")).json()["data"]}
        assert states["lists"]["paused_s"] == 0
        return states["sql"]["paused_s"], states["sql"]["breaker"]

    assert await paused_s() == (0, "closed")
    error = RateLimited("sql", "slow down", 600)
    error.rest_s = 600.0
    web.experts["sql"].refuses = error
    await web.chat("sql 1", model="sql")
    assert 590 <= (await paused_s())[0] <= 600
    assert (await web.metrics())['collegium_paused_seconds{expert="sql"}'] > 590
    await web.parts.pool.forgive(POOL[0])
    assert await paused_s() == (0, "closed")
    assert (await web.metrics())['collegium_paused_seconds{expert="sql"}'] == 0


async def test_the_console_is_a_page_of_our_own_parts(web: Web) -> None:
    """Under the chat page's policy."""
    page = await web.http.get("/console")
    assert page.status_code == 200
    assert "default-src 'self'" in page.headers["content-security-policy"]


async def test_usage_is_summed_up_while_the_service_runs(web: Web) -> None:
    """What is old enough is in the table before anybody asks."""
    await with_traffic(web, 50)
    before = (await usage(web))["total"]
    folding = Usage(web.parts.database)
    while await folding.fold():
        pass
    after = (await usage(web))["total"]
    assert after == {**before, "cost_usd": pytest.approx(before["cost_usd"]),
                     "mean_latency_ms": pytest.approx(before["mean_latency_ms"])}  # fmt: skip


async def test_failed_answers_come_in_pages_by_their_end(web: Web) -> None:
    """Each once, the latest first, also where a filter is beside it."""
    await with_traffic(web, 600)
    for query in ("status=error", "status=error&expert=small", "status=error&order=asc"):
        whole = (await web.http.get(f"/v1/decisions?limit=100&{query}")).json()["data"]
        ids: list[str] = []
        more, after = True, ""
        while more:
            page = (await web.http.get(f"/v1/decisions?limit=4&{query}{after}")).json()
            ids += [each["id"] for each in page["data"]]
            more, after = page["has_more"], f"&after={page['last_id']}"
        assert ids == [each["id"] for each in whole]
        ends = [each["outcome"]["finished_at"] for each in whole]
        assert ends == sorted(ends, reverse="asc" not in query)
        assert len(set(ids)) == len(ids) > 4


async def test_usage_by_team(serve: Serve) -> None:
    """Of the keys that a team has; others have none."""
    async with serve(**KEYS) as web:
        admin = bearer(ADMIN)
        await web.http.post("/v1/teams", json={"name": "search"}, headers=admin)
        made = await web.http.post(
            "/v1/keys", json={"name": "anna", "team": "search"}, headers=admin
        )
        for key in (made.json()["key"], CALLER):
            body = {"messages": [{"role": "user", "content": "sql 1"}]}
            await web.http.post("/v1/chat/completions", json=body, headers=bearer(key))
        await web.parts.background.finish()
        rows = (await usage(web, "?by=team&by=expert", **admin))["data"]
        assert {(r["team"], r["requests"]) for r in rows} == {("search", 1), ("", 1)}
        assert (await usage(web, "?team=search", **admin))["total"]["requests"] == 1
        assert (await usage(web, "?team=nobody", **admin))["total"]["requests"] == 0
        assert (await usage(web, "?team=search", **bearer(CALLER)))["total"]["requests"] == 0
