"""Who may be asked: allowed, denied, disabled, down, or outside the limits."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from collegium.errors import (
    BadRequest,
    ExpertUnavailable,
    NoFeasibleExpert,
    UnknownModel,
)
from collegium.registry.expert import Expert
from collegium.router.decision import Query
from collegium.router.eligibility import candidates
from tests.router.desk import Desk, down, of
from tests.router.synthetic import (
    GENERAL,
    PRICED,
    SQL,
)


async def test_experts_can_be_allowed_and_denied(desk: Desk) -> None:
    """Only who is allowed and not denied is considered, or even forecast."""
    few = await desk.ask("sql tables", experts_allow=("lists", "general"))
    assert [f.expert for f in few.forecasts] == ["general", "lists"]
    assert (await desk.ask("sql tables", experts_deny=("sql",))).expert == "general"


def test_a_prompt_goes_to_experts_whose_context_takes_it() -> None:
    """One that fits nobody is left to the largest: the expert counts exactly and says so."""
    small, large = replace(SQL, context_window=2048), replace(GENERAL, context_window=8192)
    first = {
        tokens: [
            e.name for e in candidates((small, large), Query("", prompt_tokens=tokens)).tiers[0]
        ]
        for tokens in (None, 100, 3000, 9000)
    }
    both = ["sql", "general"]
    assert first == {None: both, 100: both, 3000: ["general"], 9000: ["general"]}


@pytest.mark.parametrize("limits", [{"experts_allow": ()}, {"experts_deny": ("sql",)}])
async def test_a_request_that_denies_everyone_is_told_so(
    desk: Desk, limits: dict[str, Any]
) -> None:
    """The message names the fields to change."""
    with pytest.raises(NoFeasibleExpert, match=r"experts_allow and experts_deny leave none"):
        await desk.ask("sql tables", experts=[SQL], **limits)


@pytest.mark.parametrize("limits", [{"experts_allow": ("sq1",)}, {"experts_deny": ("sq1",)}])
async def test_an_unknown_name_in_the_limits_is_refused(desk: Desk, limits: dict[str, Any]) -> None:
    """A misspelt denial must not let the expert through."""
    with pytest.raises(BadRequest, match=r"not registered: sq1\. Available: general, lists, sql"):
        await desk.ask("sql tables", **limits)


async def test_an_unknown_model_is_refused_with_the_names_there_are(desk: Desk) -> None:
    """404, and what to ask for instead."""
    with pytest.raises(UnknownModel, match=r"no model 'sq1'.* auto, .*general, lists, sql") as info:
        await desk.ask("sql tables", model="sq1")
    assert (info.value.http_status, info.value.param) == (404, "model")


async def test_a_disabled_expert_is_neither_chosen_nor_found(desk: Desk) -> None:
    """By nobody and by no name; it may still be named in the limits."""
    pool = [replace(SQL, enabled=False), GENERAL]
    assert (await desk.ask("sql tables", experts=pool)).expert == "general"
    assert (await desk.ask("sql tables", experts=pool, experts_deny=("sql",))).expert == "general"
    with pytest.raises(UnknownModel, match="disabled"):
        await desk.ask("sql tables", experts=pool, model="sql")


@pytest.mark.parametrize("pool", [[], [replace(SQL, enabled=False)]])
async def test_an_empty_pool_is_told_apart_from_limits(desk: Desk, pool: list[Expert]) -> None:
    """Nobody is registered or enabled, so no limit is to blame."""
    with pytest.raises(NoFeasibleExpert, match="none is enabled"):
        await desk.ask("sql tables", experts=pool)


async def test_an_expert_that_is_down_is_passed_over(desk: Desk) -> None:
    """The next best answers, and the reason says who would have."""
    decision = await desk.ask("sql tables", unavailable=down("sql"))
    assert (decision.expert, decision.policy) == ("general", "quality")
    assert of(decision, "sql").note == "not available now"
    assert re.search(r"; sql \(\d+%\) is not available now\.$", decision.reason)


@pytest.mark.parametrize("text", ["sql tables", "weather"])
@pytest.mark.parametrize("model", ["auto", "sql"])
async def test_where_all_are_down_the_caller_is_told_when_to_come_back(
    desk: Desk, text: str, model: str
) -> None:
    """503 with Retry-After, also for who asked by name."""
    everyone = down("sql", "lists", "general")
    with pytest.raises(ExpertUnavailable, match="starting") as info:
        await desk.ask(text, model=model, unavailable=everyone)
    assert (info.value.http_status, info.value.retry_after_s) == (503, 7)


async def test_limits_that_nobody_meets_are_not_blamed_on_who_is_down(desk: Desk) -> None:
    """To wait would not help, so it is 422 and not 503."""
    with pytest.raises(NoFeasibleExpert, match=r"max_latency_ms=0\.001 leaves nobody"):
        await desk.ask("sql tables", unavailable=down("lists"), max_latency_ms=0.001)


async def test_who_would_meet_the_limits_but_is_down_is_worth_waiting_for(desk: Desk) -> None:
    """Only SQL is good enough, so it is 503 and not 422."""
    with pytest.raises(ExpertUnavailable, match="expert 'sql'"):
        await desk.ask("sql tables", unavailable=down("sql"), min_quality=0.8)


async def test_a_named_expert_that_breaks_the_limits_is_not_asked(desk: Desk) -> None:
    """The caller's limits hold for a named expert too."""
    with pytest.raises(NoFeasibleExpert, match=r"'lists' does not fit the limits: min_quality"):
        await desk.ask("sql tables", model="lists", min_quality=0.5)


async def test_a_better_expert_outside_the_limits_is_mentioned(desk: Desk) -> None:
    """So the caller sees what the limit costs."""
    decision = await desk.ask("sql tables", experts=PRICED, max_cost_usd=0.001)
    assert decision.expert == "general"
    assert "is outside the limits: max_cost_usd" in decision.reason
