"""The router: from a query and the registered experts to a decision."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from collegium.errors import (
    ArtifactRejected,
    CollegiumError,
    NoFeasibleExpert,
)
from collegium.registry.expert import Expert
from collegium.router.artifact import FittedRouter
from collegium.router.choosing import SPECIALIST_LOSS
from collegium.router.costs import Speeds
from collegium.router.decision import Query
from collegium.router.router import Router
from collegium.router.virtual_models import VIRTUAL_MODELS
from tests.router.desk import Desk, down, of
from tests.router.synthetic import (
    GENERAL,
    LISTS,
    POOL,
    PRICED,
    SQL,
    TOKENS,
    WordEncoder,
)


@pytest.mark.parametrize(
    ("text", "expert"), [("sql tables", "sql"), ("lists of trees", "lists"), ("poems", "general")]
)
async def test_a_query_goes_to_the_expert_that_was_measured_best(
    desk: Desk, text: str, expert: str
) -> None:
    """Each skill to its own, with the expected chance as the confidence."""
    decision = await desk.ask(text)
    assert (decision.expert, decision.policy) == (expert, "quality")
    assert decision.confidence == of(decision, expert).quality
    assert max(decision.skills, key=lambda s: decision.skills[s]) == text.split()[0]
    assert decision.ood_score is not None
    assert decision.ood_score < 0.5
    assert decision.overhead_ms > 0


async def test_the_forecasts_are_near_the_measured_rates(desk: Desk) -> None:
    """P(correct), tokens, latency and energy, best expert first."""
    decision = await desk.ask("sql tables")
    assert [f.expert for f in decision.forecasts] == ["sql", "general", "lists"]
    assert of(decision, "sql").quality == pytest.approx(0.95, abs=0.06)
    assert of(decision, "general").quality == pytest.approx(0.3, abs=0.1)

    forecast = decision.forecast
    assert forecast.output_tokens == pytest.approx(TOKENS["sql"], abs=4)
    assert forecast.latency_ms == pytest.approx(forecast.output_tokens * 10, rel=0.01)
    assert forecast.energy_j == pytest.approx(45 * forecast.latency_ms / 1000)


async def test_the_reason_says_in_words_who_and_why(desk: Desk) -> None:
    """The skill, the chance, and the next best."""
    reason = (await desk.ask("sql tables")).reason
    words = r"This looks like sql: sql is \d+% likely to be right, ahead of general \(\d+%\)\."
    assert re.fullmatch(words, reason)


async def test_a_strange_query_goes_to_the_best_generalist(desk: Desk) -> None:
    """Far from all marks the overall rates remain, and specialists are expected to do worse."""
    decision = await desk.ask("weather tomorrow")
    assert (decision.expert, decision.policy) == ("general", "quality")
    assert decision.ood_score == 1.0
    rates = dict(
        zip(desk.router.fitted.fingerprints, desk.router.fitted.beliefs.rates_, strict=True)
    )
    assert decision.confidence == pytest.approx(rates["engine:general"])
    assert of(decision, "sql").quality == pytest.approx(
        max(rates["lora:builtin:sql"] - SPECIALIST_LOSS, 0.0)
    )
    assert decision.reason.startswith("Unlike most that the experts were measured on: general is")


async def test_without_a_generalist_the_best_overall_answers(desk: Desk) -> None:
    """A strange query is no reason to answer nobody."""
    decision = await desk.ask("weather", experts=[SQL, LISTS])
    fitted = desk.router.fitted
    rates = dict(zip(fitted.fingerprints, fitted.beliefs.rates_, strict=True))
    assert of(decision, "sql").quality == pytest.approx(rates["lora:builtin:sql"])
    assert (decision.expert, decision.policy) == (
        max(("sql", "lists"), key=lambda name: rates[f"lora:builtin:{name}"]),
        "quality",
    )


async def test_what_specialists_are_doubted_counts_against_limits(desk: Desk) -> None:
    """An expert whose told quality is too low is not asked."""
    with pytest.raises(NoFeasibleExpert, match="min_quality"):
        await desk.ask("weather", experts=[SQL, GENERAL], experts_deny=("general",), min_quality=1)
    decision = await desk.ask("weather", experts=POOL, min_quality=0.2)
    assert {f.expert for f in decision.forecasts if f.feasible} == {"general"}


@pytest.mark.parametrize("text", ["sql tables", "weather"])
async def test_a_named_expert_is_asked_whatever_the_query(desk: Desk, text: str) -> None:
    """Its name bypasses the choice; the forecasts are still told."""
    decision = await desk.ask(text, model="lists")
    assert (decision.expert, decision.policy) == ("lists", "named")
    assert len(decision.forecasts) == len(POOL)
    assert decision.confidence == (of(decision, "lists").quality or 0.0)
    assert decision.reason.startswith("You asked for lists")


async def test_a_conversation_stays_with_its_expert_where_others_gain_little(desk: Desk) -> None:
    """Twins are forecast alike, so the one that answered before goes on."""
    twin = replace(SQL, name="twin")
    pool = [SQL, twin, GENERAL]
    cheaper = replace(SQL, name="cheaper")
    assert (await desk.ask("sql tables", experts=pool, session="twin")).policy == "session"
    decision = await desk.ask("sql tables", experts=[*pool, cheaper], session="twin")
    assert decision.expert == "twin"
    assert "stays with twin" in decision.reason


async def test_a_conversation_changes_where_the_gain_is_worth_it(desk: Desk) -> None:
    """From poems to SQL: the general expert gives way."""
    decision = await desk.ask("sql tables", session="general")
    assert (decision.expert, decision.policy) == ("sql", "quality")


@pytest.mark.parametrize("session", ["sql", "gone"])
async def test_a_conversation_whose_expert_is_best_or_gone_is_routed_as_ever(
    desk: Desk, session: str
) -> None:
    """Staying with the best is no special case, and a removed expert is forgotten."""
    decision = await desk.ask("sql tables", session=session)
    assert (decision.expert, decision.policy) == ("sql", "quality")


async def test_a_conversation_leaves_an_expert_that_is_down(desk: Desk) -> None:
    """Loyalty ends where there is no answer."""
    twin = replace(SQL, name="twin")
    decision = await desk.ask(
        "sql tables", experts=[SQL, twin], session="twin", unavailable=down("twin")
    )
    assert decision.expert == "sql"


async def test_a_newcomer_is_chosen_for_what_it_was_measured_to_do(desk: Desk) -> None:
    """Its skill profile is enough: the router was fitted before it came."""
    poet = Expert("poet", "openai", "poet", base_url="http://h/v1", skills={"poems": 0.97})
    decision = await desk.ask("poems", experts=[*POOL, poet])
    assert (decision.expert, decision.policy) == ("poet", "quality")
    assert decision.confidence == pytest.approx(0.97)
    assert of(await desk.ask("sql tables", experts=[*POOL, poet]), "poet").quality is None


async def test_a_profile_counts_each_skill_as_much_as_the_query_asks_for_it(desk: Desk) -> None:
    """The mean of the profile's levels under the query's own skills."""
    both = Expert("both", "litellm", "x/both", skills={"poems": 0.9, "sql": 0.1, "lists": 0.5})
    decision = await desk.ask("poems", experts=[*POOL, both])
    expected = sum(p * both.skills[skill] for skill, p in decision.skills.items())
    assert of(decision, "both").quality == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    "other",
    [
        replace(SQL, adapter="other-sql"),
        replace(SQL, kind="engine", adapter=None),
    ],
)
async def test_a_name_alone_does_not_inherit_the_old_outcomes(desk: Desk, other: Expert) -> None:
    """Other weights under a known name are a stranger until they are measured."""
    decision = await desk.ask("sql tables", experts=[other, LISTS, GENERAL])
    assert of(decision, "sql").quality is None
    assert decision.expert == "general"


async def test_a_new_name_for_the_same_weights_keeps_their_outcomes(desk: Desk) -> None:
    """Outcomes belong to weights."""
    renamed = replace(SQL, name="database")
    assert (await desk.ask("sql tables", experts=[renamed, GENERAL])).expert == "database"


async def test_a_registered_model_answers_in_place_of_the_demonstration(desk: Desk) -> None:
    """Even an unmeasured one: the small experts show the machinery; they may still be named."""
    mine = Expert("sql", "openai", "sql", base_url="http://h/v1")
    decision = await desk.ask("sql tables", experts=[mine, LISTS, GENERAL])
    assert (decision.expert, decision.policy) == ("sql", "prior")
    assert [f.expert for f in decision.forecasts] == ["sql"]
    assert (await desk.ask("sql tables", model="lists", experts=[mine, LISTS])).policy == "named"


async def test_where_nobody_was_measured_the_best_by_its_prior_answers(desk: Desk) -> None:
    """No quality is claimed."""
    strangers = [replace(e, model=f"new-{e.name}", adapter=None) for e in POOL]
    decision = await desk.ask("sql tables", experts=strangers)
    assert (decision.expert, decision.policy) == ("general", "prior")
    assert {f.quality for f in decision.forecasts} == {None}
    assert decision.confidence == 0.0
    assert decision.reason == (
        "No expert that can be asked was measured; general is expected to be the best by what is "
        "known of it."
    )


@pytest.mark.parametrize(
    ("model", "limits", "expert"),
    [
        ("auto", {}, "sql"),
        ("collegium/best", {}, "sql"),
        ("collegium/cheap", {}, "sql"),
        ("auto", {"tradeoff": 10.0}, "general"),
        ("collegium/cheap", {"tradeoff": 10.0}, "general"),
        ("collegium/best", {"tradeoff": 10.0}, "general"),
    ],
)
async def test_a_virtual_model_is_a_promise_that_a_tradeoff_overrides(
    desk: Desk, model: str, limits: dict[str, Any], expert: str
) -> None:
    """Five points at most do not pay for an expert that is wrong; whoever wants more may say so."""
    decision = await desk.ask("sql tables", model=model, experts=PRICED, **limits)
    assert (decision.expert, decision.requested_model) == (expert, model)


async def test_a_cheaper_choice_says_who_would_be_dearer(desk: Desk) -> None:
    """The caller sees what the saving costs in quality."""
    decision = await desk.ask("sql tables", experts=PRICED, tradeoff=10.0)
    reason = decision.reason
    assert decision.tolerated == 1.0
    assert re.search(
        r"general is \d+% likely to be right; sql \(\d+%\) would be more expensive\.", reason
    )


async def test_a_short_answer_is_forecast_to_be_short(desk: Desk) -> None:
    """The caller's max_tokens bounds tokens, cost and latency."""
    forecast = (await desk.ask("sql tables", experts=PRICED, max_tokens=5)).forecast
    assert forecast.output_tokens == 5
    assert forecast.latency_ms == pytest.approx(50, rel=0.01)
    assert forecast.cost_usd == pytest.approx(0.05)


async def test_a_long_conversation_is_paid_for_as_a_whole(desk: Desk) -> None:
    """The prompt's price is that of all messages, not of the last question."""
    dear = [replace(GENERAL, input_price=1.0, context_window=2_000_000)]
    query = Query("poems", prompt_tokens=1_000_000)
    decision = await desk.router.decide(query, dear, down())
    assert decision.forecast.cost_usd == pytest.approx(1.0)


async def test_latency_is_forecast_from_the_speed_seen_lately(fitted: FittedRouter) -> None:
    """A slow machine is noticed."""
    speeds = Speeds(device_watts=45.0)
    router = Router(WordEncoder(), fitted, speeds)
    speeds.learn("sql", latency_ms=2000.0, tokens=20)
    forecast = (await router.decide(Query("sql tables"), POOL, down())).forecast
    assert forecast.latency_ms == pytest.approx(100 * forecast.output_tokens)


async def test_the_same_query_is_decided_the_same_way(desk: Desk) -> None:
    """Only the id and the time it took differ."""
    decisions = [await desk.ask("sql tables") for _ in range(2)]
    same = [replace(d, id="", overhead_ms=0.0) for d in decisions]
    assert same[0] == same[1]
    assert decisions[0].id != decisions[1].id


def test_a_router_fitted_on_other_embeddings_is_refused(fitted: FittedRouter) -> None:
    """Its weights would mean nothing."""
    with pytest.raises(ArtifactRejected, match="'minilm' embeddings, not 'words'"):
        Router(WordEncoder(), replace(fitted, encoder="minilm"), Speeds(45.0))


@pytest.mark.parametrize("model", VIRTUAL_MODELS)
async def test_every_error_is_one_of_ours(desk: Desk, model: str) -> None:
    """Whatever a virtual model is asked, a refusal is a CollegiumError."""
    with pytest.raises(CollegiumError):
        await desk.ask("sql tables", model=model, experts=[])
