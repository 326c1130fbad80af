"""`max_cost_usd` holds: whatever an answer may cost at most is compared with it, not the mean."""

from __future__ import annotations

import re
from typing import Any

import pytest

from collegium.router.costs import LEEWAY
from tests.web.conftest import Web

TOO_LITTLE = 1e-9
PANELS = ["vote", "moa", "best_of_n", "cascade", "self_moa", "nominal_group", "first"]
PRICED = {"experts_allow": ["sql", "general"]}


async def needed(web: Web, routing: dict[str, Any], **body: Any) -> float:
    """The smallest limit that a refusal names."""
    answer = await web.chat("sql 1", routing={**routing, "max_cost_usd": TOO_LITTLE}, **body)
    assert answer.status_code == 422, answer.text
    message = answer.json()["error"]["message"]
    found = re.search(r"nearest feasible is (\S+) USD|max_cost_usd: (\S+) USD >", message)
    assert found is not None, message
    return float(found[1] or found[2])


@pytest.mark.parametrize(
    "asked",
    [
        {"routing": PRICED},
        {"routing": PRICED, "max_tokens": 700},
        {"routing": {}, "model": "sql"},
        {"routing": {**PRICED, "tradeoff": 10}},
        *({"routing": {**PRICED, "aggregate": mode}} for mode in PANELS),
        *({"routing": {**PRICED, "aggregate": mode, "k": 2}} for mode in PANELS),
        {"routing": {"aggregate": "vote", "k": 3}},
        {"routing": {**PRICED, "aggregate": "vote"}, "max_tokens": 700},
    ],
    ids=str,
)
async def test_the_limit_that_a_refusal_names_is_accepted(web: Web, asked: dict[str, Any]) -> None:
    """Of single experts, named ones and panels."""
    least = await needed(web, **asked)
    routing = {**asked.pop("routing"), "max_cost_usd": least}
    answer = await web.chat("sql 1", routing=routing, **asked)
    assert answer.status_code == 200, answer.text
    forecast = answer.json()["collegium"]["decision"]["forecasts"][0]
    assert forecast["most_usd"] <= least


async def test_the_worst_case_of_max_tokens_is_within_half_as_much_again(web: Web) -> None:
    """Even an answer that fills `max_tokens` costs at most 1.5 times the limit."""
    web.experts["sql"].usage = {"prompt_tokens": 7, "completion_tokens": 5000}
    least = await needed(web, {}, model="sql", max_tokens=5000)
    answer = await web.chat("sql 1", model="sql", max_tokens=5000, routing={"max_cost_usd": least})
    cost = answer.json()["collegium"]["outcome"]["cost_usd"]
    assert least < cost <= LEEWAY * least


async def test_each_choice_counts(web: Web) -> None:
    """Three answers cost three times as much."""
    one = await needed(web, {}, model="sql", max_tokens=50)
    three = await needed(web, {}, model="sql", max_tokens=50, n=3)
    assert 2.5 * one < three < 3.5 * one


async def test_answers_teach_what_the_next_ones_may_cost(web: Web) -> None:
    """The limit that is needed falls from the prior's to what answers really have."""
    before = await needed(web, {}, model="sql")
    for _ in range(5):
        await web.chat("sql 1", model="sql")
    assert await needed(web, {}, model="sql") < before / 3


async def test_a_prompt_that_is_longer_for_the_expert_is_learnt(web: Web) -> None:
    """Where the count is far too low, one answer exceeds the limit, not the next ones."""
    web.experts["sql"].usage = {"prompt_tokens": 9000, "completion_tokens": 2}
    before = await needed(web, {}, model="sql", max_tokens=50)
    first = await web.chat("sql 1", model="sql", max_tokens=50, routing={"max_cost_usd": before})
    cost = first.json()["collegium"]["outcome"]["cost_usd"]
    assert cost > LEEWAY * before
    again = await web.chat("sql 1", model="sql", max_tokens=50, routing={"max_cost_usd": before})
    assert again.status_code == 422
    assert await needed(web, {}, model="sql", max_tokens=50) >= cost
