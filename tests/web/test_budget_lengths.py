"""Requests without `max_tokens` under a budget: what is really left decides, not what was short."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from collegium.router.tokens import Tokens
from collegium.web.serving.call_bounds import LEAST_WISH
from tests.web.access import bearer
from tests.web.conftest import Serve, Web, until
from tests.web.fakes import ADDRESS, SQL
from tests.web.test_budgets import ask, limit, limits
from tests.web.test_owners import KEYS, SHOP

LARGE = replace(SQL, name="large", base_url=f"{ADDRESS}/large", input_price=3.0, output_price=15.0)
TOKEN = 15e-6
SHORT = 8
NAMES = ("large", "sql", "general", "lists")


def writes(web: Web, tokens: int) -> None:
    """What answers take from now on."""
    for name in NAMES:
        web.experts[name].usage = {"prompt_tokens": 7, "completion_tokens": tokens}


@pytest.fixture
async def web(serve: Serve) -> AsyncIterator[Web]:
    """A service whose experts have given short answers so far."""
    async with serve(experts=[LARGE], **KEYS) as web:
        writes(web, SHORT)
        for name in NAMES:
            for _ in range(40):
                web.parts.tokens.learn(name, None, SHORT)
        yield web


def sent(web: Web) -> int:
    """The limit that the last request of the large expert had."""
    most: int = web.experts["large"].asked[-1].body["max_tokens"]
    return most


async def more(web: Web, usd: float) -> None:
    """Set a budget that has so much left."""
    shown = await limit(web, "usd", 100.0)
    await limit(web, "usd", shown["used"] + usd)


@pytest.mark.parametrize("usd", [0.0013, 0.01])
@pytest.mark.parametrize("model", ["large", "auto"])
async def test_a_budget_pays_for_what_it_can_pay_for(web: Web, usd: float, model: str) -> None:
    """Also where a sixteenth of it pays for fewer tokens than an answer must have."""
    await more(web, usd)
    answer = await ask(web, model=model, max_tokens=None)
    assert answer.status_code == 200, answer.text
    if model == "large":
        assert 64 <= sent(web) <= usd / TOKEN


async def test_where_nothing_is_in_flight_that_is_not_the_reason(web: Web) -> None:
    """The budget is spent, and waiting a second is of no use."""
    writes(web, 80)
    assert (await ask(web, model="large", max_tokens=80)).status_code == 200
    await web.parts.background.finish()
    await more(web, 0.0005)
    refused = await ask(web, model="large", max_tokens=None)
    assert refused.status_code == 402
    assert "in flight" not in refused.json()["error"]["message"]
    assert int(refused.headers["retry-after"]) > 1
    answer = await ask(web, model="auto", max_tokens=None)
    assert answer.status_code == 200, answer.text
    assert answer.json()["model"] != "large"


async def test_a_request_that_no_window_pays_for_is_too_large(web: Web) -> None:
    """It is not told to come again."""
    await limit(web, "usd", 1e-6, "7s")
    refused = await ask(web, model="large", max_tokens=None)
    assert refused.status_code == 402
    assert "it is too large" in refused.json()["error"]["message"]
    assert "retry-after" not in refused.headers


@pytest.mark.parametrize("usd", [1.0, 100.0])
async def test_with_plenty_left_an_essay_is_not_cut(web: Web, usd: float) -> None:
    """Whatever the answers before it were like."""
    await more(web, usd)
    answer = await ask(web, model="large", max_tokens=None)
    assert answer.status_code == 200
    assert sent(web) == LEAST_WISH


@pytest.mark.parametrize("usd", [0.02, 0.05, 0.3])
async def test_forty_at_once_never_hold_more_than_is_left(web: Web, usd: float) -> None:
    """Even if each writes as much as it may; who does not fit is told to come again."""
    await more(web, usd)
    script = web.experts["large"]
    script.waits = True
    before = len(script.asked)
    asking = [asyncio.create_task(ask(web, model="large", max_tokens=None)) for _ in range(40)]
    await until(
        lambda: len(script.asked) - before + sum(task.done() for task in asking) == len(asking)
    )
    caps = [call.body["max_tokens"] for call in script.asked[before:]]
    assert min(caps) >= 64
    assert sum(caps) * TOKEN <= usd
    assert len(caps) >= min(40, 0.5 * usd / TOKEN / 64)
    shown = (await limits(web))["usd"]
    assert shown["used"] <= shown["amount"]
    script.go.set()
    answers = await asyncio.gather(*asking)
    refused = [answer for answer in answers if answer.status_code != 200]
    assert len(refused) == 40 - len(caps)
    assert {(r.status_code, r.headers["retry-after"]) for r in refused} <= {(429, "1")}
    assert all("requests in flight hold" in r.json()["error"]["message"] for r in refused)


async def test_several_prompts_share_what_one_request_may_have(web: Web) -> None:
    """All of them are asked where each may have a short answer."""
    await more(web, 0.5)
    body = {"model": "large", "prompt": ["sql 1"] * 128}
    answer = await web.http.post("/v1/completions", json=body, headers=bearer(SHOP))
    assert answer.status_code == 200, answer.text


async def test_answers_that_the_budget_cut_teach_only_that_they_are_long(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request itself set no limit."""
    taught: list[tuple[int, bool]] = []
    learn = Tokens.learn

    def spy(self: Tokens, name: str, key: Any, tokens: int, *, cut: bool = False) -> None:
        taught.append((tokens, cut))
        learn(self, name, key, tokens, cut=cut)

    monkeypatch.setattr(Tokens, "learn", spy)
    await more(web, 0.002)
    writes(web, 64)
    assert (await ask(web, model="large", max_tokens=None)).status_code == 200
    await more(web, 10.0)
    assert (await ask(web, model="large", max_tokens=None)).status_code == 200
    assert taught == [(64, True), (64, False)]
