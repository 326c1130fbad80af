"""Under a limit in dollars, a request has only fields that are billed by tokens."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from collegium.web.learning.from_log import logged_prompts
from collegium.web.learning.spec import FromLog
from tests.web.access import bearer
from tests.web.bulk import done, line, results
from tests.web.conftest import Serve, Web
from tests.web.test_budgets import limit
from tests.web.test_owners import ADMIN, KEYS, SHOP

CHAT: dict[str, Any] = {"model": "sql", "messages": [{"role": "user", "content": "sql 1"}]}
SEARCH = {"type": "web_search"}
PRICED: list[tuple[str, dict[str, Any]]] = [
    ("web_search_options", {"web_search_options": {}}),
    ("plugins", {"plugins": [{"id": "web"}]}),
    ("provider", {"provider": {"order": ["dear"]}}),
    ("speed", {"speed": "fast"}),
    ("tools[0].type", {"tools": [SEARCH]}),
    ("service_tier", {"service_tier": "PRIORITY"}),
    ("service_tier", {"service_tier": ["priority"]}),
]


@pytest.fixture
async def web(serve: Serve) -> AsyncIterator[Web]:
    """A service with an operator and two callers."""
    async with serve(**KEYS) as web:
        yield web


async def ask(web: Web, **fields: Any) -> httpx.Response:
    return await web.http.post("/v1/chat/completions", json=CHAT | fields, headers=bearer(SHOP))


@pytest.mark.parametrize(("param", "fields"), PRICED, ids=str)
@pytest.mark.parametrize("by", ["budget", "request", "nothing"])
async def test_a_field_that_may_change_the_price_is_refused(
    web: Web, param: str, fields: dict[str, Any], by: str
) -> None:
    """Before anybody is asked; where no limit in dollars binds, it goes on as it came."""
    if by == "budget":
        await limit(web, "usd", 1.0)
    routing = {"routing": {"max_cost_usd": 1.0}} if by == "request" else {}
    answer = await ask(web, **fields, **routing)
    asked = web.experts["sql"].asked
    if by == "nothing":
        assert answer.status_code == 200
        assert asked[-1].body.items() >= fields.items()
        return
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, param)
    assert "budget_fields" in error["message"]
    assert asked == []


async def test_a_budget_does_not_pay_for_a_tier_of_unknown_price(web: Web) -> None:
    """Once its price is stated, it is reserved."""
    await limit(web, "usd", 1.0)
    refused = await ask(web, service_tier="priority")
    error = refused.json()["error"]
    assert (refused.status_code, error["param"]) == (422, "service_tier")
    assert "'sql' has no price of the service tier 'priority'" in error["message"]
    assert "--price input_priority=… --price output_priority=…" in error["message"]
    assert web.experts["sql"].asked == []
    prices = {"prices": {"input_priority": 2.0, "output_priority": 4.0}}
    await web.http.patch("/v1/experts/sql", json=prices, headers=bearer(ADMIN))
    answer = await ask(web, service_tier="priority")
    assert answer.status_code == 200, answer.text


async def test_usual_fields_pass(web: Web) -> None:
    """Those of OpenAI's API, and those of vLLM that are about sampling."""
    await limit(web, "usd", 1.0)
    tool = {"type": "function", "function": {"name": "look", "parameters": {}}}
    usual = {
        **{"tools": [tool], "tool_choice": "auto", "top_k": 3, "min_p": 0.1, "logprobs": True},
        **{"chat_template_kwargs": {"enable_thinking": False}, "reasoning_effort": "low"},
        **{"user": "u", "metadata": {"a": "b"}, "store": False, "service_tier": "flex"},
        **{"response_format": {"type": "json_object"}, "plugins": None, "prompt_cache_key": "k"},
    }
    answer = await ask(web, **usual)
    assert answer.status_code == 200, answer.text


async def test_the_operator_allows_more(serve: Serve) -> None:
    """By the name of a field, and by the type of a tool."""
    allowed = ("plugins", "web_search")
    async with serve(**KEYS, budget_fields=allowed) as web:
        await limit(web, "usd", 1.0)
        assert (await ask(web, plugins=[])).status_code == 200
        assert (await ask(web, tools=[SEARCH])).status_code == 200
        assert (await ask(web, tools=[{"type": "web_search_preview"}])).status_code == 400


@pytest.mark.parametrize("allowed", [(), ("web_search",)])
async def test_tools_that_a_provider_runs_are_left_out(
    serve: Serve, allowed: tuple[str, ...]
) -> None:
    """Codex sends one with each request; an expert that is said to run them gets them else."""
    async with serve(**KEYS, budget_fields=allowed) as web:
        can = {"capabilities": {"responses": True, "hosted_tools": True}}
        changed = await web.http.patch("/v1/experts/sql", json=can, headers=bearer(ADMIN))
        assert changed.is_success, changed.text
        await limit(web, "usd", 1.0)
        body = {"model": "sql", "input": "sql 1", "tools": [SEARCH]}
        answer = await web.http.post("/v1/responses", json=body, headers=bearer(SHOP))
        assert answer.status_code == 200, answer.text
        native = web.experts["sql"].asked[-1].native
        assert native is not None
        assert (native.full is not None) is bool(allowed)


@pytest.mark.parametrize("job", [{}, {"routing": {"max_cost_usd": 1.0}}], ids=["free", "limited"])
async def test_a_jobs_limit_in_dollars_binds_its_lines(serve: Serve, job: dict[str, Any]) -> None:
    """The line with such a field is refused, the others are answered."""
    async with serve() as web:
        lines = [line("plain"), line("searches", web_search_options={})]
        batch, answered = await done(web, lines, **job)
        assert answered.keys() == ({"plain"} if job else {"plain", "searches"})
        if job:
            (refused,) = await results(web, batch["error_file_id"])
            assert "web_search_options" in str(refused)


# --- presets ---

UNPRICED: list[dict[str, Any]] = [
    {"web_search_options": {}},
    {"plugins": [{"id": "web"}]},
    {"tools": [SEARCH]},
    {"service_tier": "scale"},
]


async def preset(web: Web, settings: dict[str, Any], **fields: Any) -> None:
    """Register `fast`, which is sql with these defaults."""
    new = {"name": "fast", "like": "sql", "with": settings, **fields}
    added = await web.http.post("/v1/experts", json=new, headers=bearer(ADMIN))
    assert added.status_code == 201, added.text
    web.experts["fast"].asked.clear()


@pytest.mark.parametrize("settings", UNPRICED, ids=str)
@pytest.mark.parametrize("by", ["budget", "request"])
async def test_a_preset_may_not_change_the_price_either(
    web: Web, settings: dict[str, Any], by: str
) -> None:
    """It answers while no limit in dollars binds; under one, others do."""
    await preset(web, settings, prior=1.0)
    assert (await ask(web, model="fast")).status_code == 200
    assert web.experts["fast"].asked.pop()
    if by == "budget":
        await limit(web, "usd", 1.0)
    routing = {"routing": {"max_cost_usd": 1.0}} if by == "request" else {}
    refused = await ask(web, model="fast", **routing)
    assert refused.status_code == 422, refused.text
    assert "budget_fields" in refused.json()["error"]["message"]
    assert (await ask(web, model="auto", **routing)).status_code == 200
    assert web.experts["fast"].asked == []


async def test_the_operator_allows_a_presets_fields(serve: Serve) -> None:
    """As those of requests."""
    async with serve(**KEYS, budget_fields=("plugins",)) as web:
        await preset(web, {"plugins": [{"id": "web"}]})
        await limit(web, "usd", 1.0)
        assert (await ask(web, model="fast")).status_code == 200


async def test_a_presets_tier_is_bounded_by_its_own_prices(web: Web) -> None:
    """Whatever it is, unless the request names another one."""
    await preset(web, {"service_tier": "priority", "max_tokens": 1000})
    usual = {"routing": {"max_cost_usd": 0.0025}, "model": "fast"}  # 1,000 tokens at $2 a million
    assert (await ask(web, **usual)).status_code == 422  # nobody knows the price
    prices = {"prices": {"input_priority": 10.0, "output_priority": 20.0}}
    await web.http.patch("/v1/experts/fast", json=prices, headers=bearer(ADMIN))
    assert (await ask(web, **usual)).status_code == 422
    assert web.experts["fast"].asked == []
    assert (await ask(web, **usual, service_tier="default")).status_code == 200
    dear = {"routing": {"max_cost_usd": 0.025}, "model": "fast"}
    assert (await ask(web, **dear)).status_code == 200


async def test_a_budget_reserves_at_the_price_of_a_presets_tier(web: Web) -> None:
    """What it does not pay for is cut."""
    await preset(web, {"service_tier": "priority", "max_tokens": 1000})
    await limit(web, "usd", 0.01)
    assert (await ask(web, model="fast")).status_code in (402, 422)
    assert (await ask(web, model="auto")).status_code == 200
    await web.parts.background.finish()  # what it held is settled
    assert web.experts["fast"].asked == []
    prices = {"prices": {"input_priority": 10.0, "output_priority": 20.0}}
    await web.http.patch("/v1/experts/fast", json=prices, headers=bearer(ADMIN))
    answer = await ask(web, model="fast")
    assert answer.status_code == 200, answer.text
    cut = web.experts["fast"].asked[-1].body["max_tokens"]
    assert 400 < cut < 500  # of $0.01 at $20 a million


async def test_a_presets_documents_are_counted(web: Web) -> None:
    """As those of a request are."""
    await limit(web, "tokens", 1000)
    await preset(web, {"documents": [{"text": "word " * 2000}]})
    refused = await ask(web, model="fast")
    assert refused.status_code in (402, 429), refused.text
    assert web.experts["fast"].asked == []


async def test_what_makes_a_request_dearer_is_not_replayed(serve: Serve) -> None:
    """A learning run has a limit in dollars, whatever callers once sent without one."""
    async with serve(**KEYS, record="full") as web:
        assert (await ask(web, n=4, service_tier="priority", temperature=0.5)).status_code == 200
        assert (await ask(web, plugins=[{"id": "web"}])).status_code == 200
        await web.parts.background.finish()
        (replayed,) = await logged_prompts(web.parts.log, FromLog())
        assert replayed.body.keys() == {"messages", "temperature"}
        assert replayed.query.choices == 1
        assert len(await logged_prompts(web.parts.log, FromLog(), ["plugins"])) == 1
