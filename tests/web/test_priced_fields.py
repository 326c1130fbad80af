"""Under a limit in dollars, a request has only fields that are billed by tokens."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.web.conftest import Serve, Web
from tests.web.test_access import bearer
from tests.web.test_batches import done, line, results
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
    assert refused.status_code in (402, 422), refused.text
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
