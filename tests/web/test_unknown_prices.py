"""Experts whose price nobody knows: they answer, and are never taken for free."""

from __future__ import annotations

from typing import Any

import pytest

from collegium.errors import ExpertUnavailable
from tests.web.bulk import done, line
from tests.web.conftest import Web
from tests.web.panels import ask

UNKNOWN = {"input_price": None, "output_price": None}
HEADER = "x-collegium-cost-usd"


@pytest.fixture
async def unpriced(web: Web) -> Web:
    """A service whose expert for `sql` has no known price."""
    changed = await web.http.patch("/v1/experts/sql", json=UNKNOWN)
    assert (changed.json()["input_price"], changed.json()["output_price"]) == (None, None)
    return web


async def test_an_answer_of_unknown_price_says_so(unpriced: Web) -> None:
    """Null in the body and in the log, no header; the metrics count the tokens."""
    response = await unpriced.chat("sql 1")
    labels = response.json()["collegium"]
    assert response.json()["model"] == "sql"
    assert HEADER not in response.headers
    assert labels["outcome"]["cost_usd"] is None
    assert labels["decision"]["forecasts"][0]["cost_usd"] is None
    assert (await unpriced.outcome(labels["decision"]["id"]))["cost_usd"] is None
    metrics = await unpriced.metrics()
    assert metrics['collegium_tokens_total{direction="completion",expert="sql"}'] == 2
    assert 'collegium_cost_usd_total{expert="sql"}' not in metrics


async def test_a_stream_of_unknown_price_has_no_header(unpriced: Web) -> None:
    """As its forecast."""
    response = await unpriced.chat("sql 1", stream=True)
    assert response.status_code == 200
    assert HEADER not in response.headers


async def test_a_limit_on_cost_refuses_it(unpriced: Web) -> None:
    """However high; where it was named, the error says what to do."""
    answer = await unpriced.chat("sql 1", routing={"max_cost_usd": 1000})
    assert answer.json()["model"] != "sql"
    refused = await unpriced.chat("sql 1", model="sql", routing={"max_cost_usd": 1000})
    error = refused.json()["error"]
    assert (refused.status_code, error["code"]) == (422, "no_feasible_expert")
    assert "max_cost_usd: unknown; set its price with" in error["message"]


async def test_the_cheapest_is_not_one_of_unknown_price(unpriced: Web) -> None:
    """Where quality is no object."""
    answer = await unpriced.chat("sql 1", routing={"tradeoff": 10})
    assert answer.json()["model"] == "lists"


async def test_an_expert_that_fails_over_to_an_unknown_price_costs_an_unknown_amount(
    web: Web,
) -> None:
    """The header does not show the forecast of the one that failed."""
    await web.http.patch("/v1/experts/lists", json=UNKNOWN)
    await web.http.patch("/v1/experts/general", json=UNKNOWN)
    web.experts["sql"].refuses = ExpertUnavailable("sql", "is down")
    response = await web.chat("sql 1")
    assert response.json()["model"] != "sql"
    assert HEADER not in response.headers


async def test_a_panel_with_an_unknown_price_costs_an_unknown_amount(unpriced: Web) -> None:
    """A budget leaves that member out."""
    labels = (await ask(unpriced, "vote", k=3)).json()["collegium"]
    assert labels["outcome"]["cost_usd"] is None
    assert labels["decision"]["forecasts"][0]["cost_usd"] is None
    within = (await ask(unpriced, "vote", k=2, max_cost_usd=1.0)).json()["collegium"]
    assert within["outcome"]["cost_usd"] is not None
    assert "sql" not in {call["expert"] for call in within["panel"]["calls"]}
    refused = await ask(unpriced, "vote", k=3, max_cost_usd=1.0)
    assert refused.status_code == 422


async def test_a_jobs_budget_refuses_it(unpriced: Web) -> None:
    """Lines go to others, or the job says why it can't be done; without a budget it is asked."""
    lines = [line(str(n), f"sql {n}", "auto") for n in range(3)]
    _, answered = await done(unpriced, lines, routing={"max_cost_usd": 1000})
    assert "sql" not in experts(answered)
    failed, _ = await done(unpriced, [line("a")], routing={"max_cost_usd": 1000})
    assert failed["status"] == "failed"
    assert "unknown price" in failed["errors"]["data"][0]["message"]
    _, free = await done(unpriced, lines, routing={"capacity": {"sql": 2}})
    assert experts(free).count("sql") == 2


def experts(results: dict[str, Any]) -> list[str]:
    """Who answered each line."""
    return [response["body"]["model"] for response in results.values()]
