"""Presets over HTTP: registered, asked by name, in panels and in batches, and removed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from collegium.errors import ExpertUnavailable
from collegium.experts.clients.counting import prompt_tokens
from collegium.router.costs import LEEWAY
from tests.web.bulk import done, line
from tests.web.conftest import Web, on_shared

ASKED = {"role": "user", "content": "sql 1"}


USUAL = {"reasoning_effort": "high", "temperature": 0.1, "system": "Think first."}


async def add(
    web: Web, name: str = "think", settings: Mapping[str, Any] = USUAL, **fields: Any
) -> httpx.Response:
    """Register a preset of `sql`."""
    body = {"name": name, "like": "sql", "with": settings, **fields}
    return await web.http.post("/v1/experts", json=body)


async def test_a_preset_is_probed_with_what_it_sets_and_told_whole(web: Web) -> None:
    """It is what its base is, at its base's price."""
    added = await add(web)
    assert added.status_code == 201, added.text
    expert = added.json()["expert"]
    base = next(e for e in (await web.http.get("/v1/experts")).json()["data"] if e["name"] == "sql")
    for field in ("kind", "model", "base_url", "input_price", "output_price", "context_window"):
        assert expert[field] == base[field]
    assert expert["preset"] == {
        "base": "sql",
        "body": {"reasoning_effort": "high", "temperature": 0.1},
        "system": "Think first.",
    }
    (probe,) = web.experts["think"].asked
    assert probe.body["reasoning_effort"] == "high"
    assert probe.body["temperature"] == 0.1  # a probe has none: some models refuse it
    assert probe.body["messages"][0] == {"role": "system", "content": "Think first."}


@pytest.mark.parametrize("stream", [False, True])
async def test_what_the_upstream_of_a_preset_receives(web: Web, stream: bool) -> None:
    """Defaults where the request sets nothing; the answer is under the preset's name."""
    await add(web)
    web.experts["think"].asked.clear()
    response = await web.chat("sql 1", model="think", temperature=0.9, stream=stream)
    assert response.headers["x-collegium-expert"] == "think"
    (call,) = web.experts["think"].asked
    assert call.body == {
        "messages": [{"role": "system", "content": "Think first."}, ASKED],
        "temperature": 0.9,
        "reasoning_effort": "high",
    }
    assert web.experts["sql"].asked == []
    if not stream:
        assert response.json()["model"] == "think"
        assert response.json()["collegium"]["outcome"]["cost_usd"] == (7 * 1.0 + 2 * 2.0) / 1e6


async def test_metrics_and_levels_are_a_presets_own(web: Web) -> None:
    """It is another arm of the router, whatever its base was measured to do."""
    await add(web)
    assert (await web.chat("poems 1")).json()["model"] == "general"
    await web.http.patch("/v1/experts/think", json={"skills": {"poems": 0.95}})
    assert (await web.chat("poems 1")).json()["model"] == "think"
    metrics = await web.metrics()
    assert metrics['collegium_tokens_total{direction="prompt",expert="think"}'] == 7
    base = next(e for e in (await web.http.get("/v1/experts")).json()["data"] if e["name"] == "sql")
    assert base["skills"] == {}


async def test_a_preset_sits_on_panels_and_answers_lines(web: Web) -> None:
    """Each with its own call, and with what the mode sets winning."""
    await add(web)
    web.experts["think"].asked.clear()
    routing = {"k": 2, "experts_allow": ["think", "sql"]}
    answer = await web.chat("sql 1", model="collegium/vote", routing=routing)
    assert answer.status_code == 200, answer.text
    assert web.experts["think"].asked[0].body["reasoning_effort"] == "high"
    assert "reasoning_effort" not in web.experts["sql"].asked[0].body
    _, results = await done(web, [line("a", model="think")])
    assert results["a"]["body"]["model"] == "think"
    assert web.experts["think"].asked[-1].body["reasoning_effort"] == "high"


async def test_another_expert_that_answers_instead_gets_nothing_of_the_preset(web: Web) -> None:
    """What is set belongs to the expert, not to the request."""
    await add(web)
    web.experts["think"].refuses = ExpertUnavailable("think", "is down")
    response = await web.chat("sql 1", model="think", routing={"failover": True})
    instead = response.json()["model"]
    assert instead != "think"
    assert web.experts[instead].asked[-1].body == {"messages": [ASKED]}


async def test_a_change_of_the_base_reaches_its_presets(web: Web) -> None:
    """From the next request on, unless they have a price of their own."""
    await add(web)
    await add(web, "dear", output_price=50.0)
    await web.http.patch("/v1/experts/sql", json={"output_price": 4.0})
    prices = {
        e["name"]: e["output_price"] for e in (await web.http.get("/v1/experts")).json()["data"]
    }
    assert (prices["think"], prices["dear"]) == (4.0, 50.0)


async def test_a_base_goes_only_with_its_presets(web: Web) -> None:
    """And only where that is said."""
    await add(web)
    refused = await web.http.delete("/v1/experts/sql")
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "registry_error")
    assert "--with-presets" in refused.json()["error"]["message"]
    gone = await web.http.delete("/v1/experts/sql?with_presets=true")
    assert gone.status_code == 204
    left = {e["name"] for e in (await web.http.get("/v1/experts")).json()["data"]}
    assert left == {"lists", "general"}


LONG = "Think first, and then once more. " * 200


@pytest.mark.parametrize("settings", [{"max_tokens": 3000}, {"max_tokens": 3000, "system": LONG}])
async def test_max_cost_usd_holds_for_a_preset(web: Web, settings: dict[str, Any]) -> None:
    """Its system prompt and its `max_tokens` are counted before anybody was asked."""
    await add(web, settings=settings)
    system = [{"content": settings["system"]}] if "system" in settings else []
    read = prompt_tokens({"messages": [ASKED, *system]})
    usage = {"prompt_tokens": read, "completion_tokens": 3000, "total_tokens": read + 3000}
    web.experts["think"].usage = usage
    cost = (read * 1.0 + 3000 * 2.0) / 1e6
    refused = await web.chat("sql 1", model="think", routing={"max_cost_usd": 0.99 * cost / LEEWAY})
    assert refused.status_code == 422
    answer = await web.chat("sql 1", model="think", routing={"max_cost_usd": 1.3 * cost})
    assert answer.status_code == 200, answer.text
    assert answer.json()["collegium"]["outcome"]["cost_usd"] == pytest.approx(cost)


async def test_a_job_s_budget_does_not_lengthen_a_preset_s_answers(web: Web) -> None:
    """A line whose answer is cut to what is left is cut below the preset's own `max_tokens`."""
    await add(web, settings={"max_tokens": 50})
    web.experts["think"].asked.clear()
    batch, _ = await done(web, [line("a", model="think")], routing={"max_cost_usd": 0.0002})
    assert batch["status"] == "completed", batch
    (call,) = web.experts["think"].asked
    assert call.body["max_tokens"] <= 50


@on_shared
@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"like": "nobody"}, 404, "there is no expert 'nobody'"),
        ({"like": None}, 400, "a preset needs both `like` and `with`"),
        ({"with": None}, 400, "a preset needs both `like` and `with`"),
        ({"with": {}}, 400, "sets something"),
        ({"with": {"model": "x"}}, 400, "can't set model"),
        ({"name": "sql"}, 409, "already exists"),
        ({"kind": "openai"}, 400, "has its base's kind"),
        ({"base_url": "http://h/v1"}, 400, "has its base's base_url"),
    ],
)
async def test_a_preset_that_can_not_be_is_refused(
    shared: Web, change: dict[str, Any], status: int, words: str
) -> None:
    """With the reason, and nothing is registered."""
    refused = await add(shared, **change)
    assert refused.status_code == status, refused.text
    assert words in refused.json()["error"]["message"]
    left = (await shared.http.get("/v1/experts")).json()["data"]
    assert len(left) == 3


@on_shared
async def test_an_expert_that_is_like_none_has_a_kind(shared: Web) -> None:
    """Which a preset has from its base."""
    refused = await shared.http.post("/v1/experts", json={"name": "new"})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "kind")
