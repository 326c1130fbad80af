"""What experts have in their prompt caches, and what that is worth to a conversation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from collegium.router.decision import Decision, History, Query
from collegium.router.policy import CACHE_PRICE, SWITCH_GAIN, keeps
from collegium.router.prompt_cache import (
    SHARE_AT_FIRST,
    USD_OF_READING,
    PromptCaches,
    cached_tokens,
    saved_usd,
    worth_usd,
)
from tests.router.desk import Desk, down, of
from tests.router.synthetic import GENERAL, POOL, SQL

DEAR = replace(SQL, input_price=3.0, output_price=15.0, prices={"cached_input": 0.3})
MILLION = 1_000_000


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 4}}, 4),
        ({"prompt_tokens_details": {"cached_tokens": 0}}, 0),
        ({"cache_read_input_tokens": 7}, 7),
        ({"prompt_tokens": 9, "prompt_cache_hit_tokens": 5}, 5),
        ({"prompt_tokens": 9}, None),
        ({"prompt_tokens_details": None}, None),
        ({"prompt_tokens_details": {"cached_tokens": "many"}}, None),
        ({"prompt_tokens_details": {"cached_tokens": float("nan")}}, None),
        ({"prompt_tokens_details": {"cached_tokens": -1}}, None),
        (None, None),
    ],
)
def test_a_usage_tells_what_was_cached(usage: dict[str, Any] | None, expected: int | None) -> None:
    """In every vendor's shape; None where it does not."""
    assert cached_tokens(usage) == expected


def test_the_share_that_an_expert_keeps_is_learnt() -> None:
    """From what it reports; an expert that reports nothing keeps the first guess."""
    caches = PromptCaches()
    assert caches.share("a") == SHARE_AT_FIRST
    caches.learn("a", 1000, None)
    caches.learn("a", 0, 100)
    assert caches.share("a") == SHARE_AT_FIRST
    caches.learn("a", 1000, 900)
    assert caches.share("a") == 0.9
    for _ in range(20):
        caches.learn("a", 1000, 0)
    assert caches.share("a") < 0.01
    caches.learn("b", 1000, 5000)
    assert caches.share("b") == 1.0


def test_cached_tokens_are_worth_what_they_save() -> None:
    """By the expert's own price, else half of its input price; time, where it costs no money."""
    assert saved_usd(DEAR, MILLION) == pytest.approx(2.7)
    assert saved_usd(replace(DEAR, prices={}), MILLION) == pytest.approx(1.5)
    free = replace(SQL, input_price=0.0)
    assert saved_usd(free, MILLION) == 0.0
    assert worth_usd(free, MILLION) == USD_OF_READING
    assert worth_usd(DEAR, MILLION) == pytest.approx(2.7)


async def ask(desk: Desk, text: str, expert: str, **history: Any) -> Decision:
    """Decide a query of a conversation."""
    query = Query(text, prompt_tokens=20_000, session_expert=expert, history=History(**history))
    own: dict[str, Any] = {"input_price": 3.0, "prices": {"cached_input": 0.3}}
    pool = [replace(e, context_window=100_000, **own) for e in POOL]
    return await desk.router.decide(query, pool, down())


async def test_a_forecast_counts_cached_tokens_at_their_price(desk: Desk) -> None:
    """Of the conversation's expert alone."""
    without = await ask(desk, "sql tables", "general")
    found = await ask(desk, "sql tables", "general", cached_tokens=10_000)
    own, before = of(found, "general"), of(without, "general")
    assert own.cached_tokens == 10_000
    assert before.cost_usd is not None
    assert own.cost_usd == pytest.approx(before.cost_usd - 0.027)
    assert of(found, "sql").cached_tokens == 0


async def test_a_conversation_changes_where_the_gain_pays_for_the_cache(desk: Desk) -> None:
    """From the generalist to the SQL expert for few cached tokens, not for many."""
    few = await ask(desk, "sql tables", "general", cached_tokens=100)
    assert (few.expert, few.conversation) == ("sql", "leaves general: another is better")
    many = await ask(desk, "sql tables", "general", cached_tokens=10_000)
    assert (many.expert, many.policy) == ("general", "session")
    assert many.conversation == "stays: gain too small; keeps 10000 cached tokens"
    assert "changing would gain too little for 10000 cached tokens" in many.reason


async def test_a_price_of_a_dollar_above_the_usual_counts(desk: Desk) -> None:
    """A budget that binds holds a conversation longer."""
    forecast = of(await ask(desk, "sql tables", "general", cached_tokens=1000), "general")
    best = of(await ask(desk, "sql tables", "general"), "sql")
    assert forecast.quality is not None
    assert best.quality is not None
    gain = best.quality - forecast.quality
    assert not keeps(forecast, best, CACHE_PRICE)
    assert keeps(forecast, best, (gain - SWITCH_GAIN) / forecast.cache_usd + 1)


async def test_a_tools_result_goes_to_who_asked_for_it(desk: Desk) -> None:
    """However much another would gain, unless it is down or stuck."""
    stays = await ask(desk, "sql tables", "general", in_tool_loop=True)
    assert (stays.expert, stays.policy) == ("general", "session")
    assert "it asked for the tool's result" in stays.reason
    query = Query("sql tables", session_expert="general", history=History(in_tool_loop=True))
    assert (await desk.router.decide(query, POOL, down("general"))).expert == "sql"
    stuck = await ask(desk, "sql tables", "general", in_tool_loop=True, signs={"general": 2})
    assert (stuck.expert, stuck.conversation) == ("sql", "leaves general: seems to be stuck")


async def test_an_expert_that_is_stuck_is_left_for_the_best_of_the_others(desk: Desk) -> None:
    """Whatever is cached, and whatever trade-off would take a cheaper one."""
    told = await ask(
        desk, "sql tables", "sql", cached_tokens=20_000, signs={"sql": 2}, sign="an empty answer"
    )
    assert (told.expert, told.tolerated) == ("general", 0.0)
    assert "In this conversation sql seems to be stuck (an empty answer)" in told.reason
    assert (of(told, "sql").quality or 0) < 0.2


async def test_among_experts_without_marks_the_next_takes_over(desk: Desk) -> None:
    """By their priors."""
    strangers = [replace(e, model=f"new-{e.name}", adapter=None) for e in (GENERAL, SQL, GENERAL)]
    strangers[2] = replace(strangers[2], name="second", model="new-second")
    first = await desk.router.decide(Query("sql tables"), strangers, down())
    history = History(signs={first.expert: 2})
    query = Query("sql tables", session_expert=first.expert, history=history)
    second = await desk.router.decide(query, strangers, down())
    assert second.policy == "prior"
    assert second.expert != first.expert
