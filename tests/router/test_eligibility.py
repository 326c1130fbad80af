"""Who can answer: by what a request needs, by rules, and by the room for an answer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from collegium.errors import NoFeasibleExpert, PromptTooLong
from collegium.registry.expert import Expert
from collegium.router.decision import Limits, Query
from collegium.router.eligibility import able, candidates
from collegium.router.needs import Needs
from collegium.router.rules import NO_RULES, Rules
from tests.router.desk import Desk, down, of
from tests.router.synthetic import REGISTERED

SQL, LISTS, GENERAL = REGISTERED
IMAGES = Needs(("images",))
SEES = replace(GENERAL, capabilities={"images": True})
BLIND = replace(SQL, capabilities={"images": False})
UNKNOWN = LISTS


def tiers(*experts: Expert, **query: Any) -> list[list[str]]:
    """The names of each tier."""
    found = candidates(experts, Query("sql tables", **query)).tiers
    return [[expert.name for expert in tier] for tier in found]


def test_who_lacks_what_is_needed_is_excluded_and_who_may_have_it_comes_later() -> None:
    """A request that needs nothing has one tier of everybody."""
    assert tiers(BLIND, UNKNOWN, SEES) == [["sql", "lists", "general"]]
    assert tiers(BLIND, UNKNOWN, SEES, needs=IMAGES) == [["general"], ["lists"]]
    assert tiers(BLIND, UNKNOWN, needs=IMAGES) == [["lists"]]


def test_nobody_who_can_is_told_with_the_rule_that_excludes_each() -> None:
    """The field is the one that asks for it."""
    with pytest.raises(NoFeasibleExpert, match=r"sql takes no images\. .*--can") as info:
        candidates([BLIND], Query("look", needs=IMAGES))
    assert info.value.param == "messages"
    blunt = replace(SQL, capabilities={"tools": False})
    with pytest.raises(NoFeasibleExpert, match="sql takes no tools") as info:
        candidates([blunt], Query("look", needs=Needs(("tools",))))
    assert info.value.param == "tools"


def test_who_was_denied_is_told_as_well() -> None:
    """For that one might be able."""
    denied = Query("look", needs=IMAGES, limits=Limits(experts_deny=("general",)))
    with pytest.raises(NoFeasibleExpert, match=r"Not considered \(experts_deny\): general"):
        candidates([BLIND, SEES], denied)
    allowed = Query("look", needs=IMAGES, limits=Limits(experts_allow=("sql",)))
    with pytest.raises(NoFeasibleExpert, match=r"Only these are considered .*: sql"):
        candidates([BLIND, SEES], allowed)


def test_a_wish_decides_only_where_somebody_can() -> None:
    """Nobody is refused for it."""
    plain = replace(SQL, capabilities={"reasoning": False})
    wish = Needs(better=("reasoning",))
    assert tiers(plain, UNKNOWN, needs=wish) == [["lists"], ["sql"]]
    assert tiers(plain, needs=wish) == [["sql"]]


def test_who_refused_such_a_request_is_asked_last() -> None:
    """It is not excluded: what it said may have been of that one request."""
    lacking = {"lists": frozenset({"images"})}
    assert tiers(UNKNOWN, SEES, needs=IMAGES, lacking=lacking) == [["general"], ["lists"]]


def test_a_longer_answer_goes_where_there_is_room_for_it() -> None:
    """The smaller ones are asked only if need be: `max_tokens` is an upper bound."""
    small, large = replace(SQL, context_window=4096), replace(GENERAL, context_window=16_384)
    assert tiers(small, large, max_tokens=1000) == [["sql", "general"]]
    assert tiers(small, large, max_tokens=4096, prompt_tokens=9) == [["general"], ["sql"]]
    short = replace(large, capabilities={"max_output_tokens": 2000})
    assert tiers(small, short, max_tokens=3000) == [["sql"], ["general"]]


def test_a_prompt_that_fits_no_window_is_too_long() -> None:
    """Only where that is sure: the window has to be known, and the estimate is rough."""
    small = replace(SQL, context_window=4096)
    assert tiers(small, prompt_tokens=8000) == [["sql"]]
    with pytest.raises(PromptTooLong, match=r"sql has a window of 4096 tokens") as info:
        tiers(small, prompt_tokens=60_000)
    assert info.value.code == "context_length_exceeded"
    assert tiers(SQL, prompt_tokens=60_000) == [["sql"]]


@pytest.mark.parametrize("name", ["sql", "collegium/auto"])
def test_a_window_that_is_too_small_holds_for_a_named_expert_too(name: str) -> None:
    """Even where another has room: whoever is named is not replaced for that."""
    small = replace(SQL, context_window=4096)
    others = [replace(GENERAL, context_window=128_000)] if name == "sql" else []
    words = r"^The prompt has about 9000 tokens, .*: sql has a window of 4096 tokens"
    with pytest.raises(PromptTooLong, match=words) as info:
        tiers(small, *others, prompt_tokens=9000, requested_model=name)
    assert (info.value.code, info.value.param) == ("context_length_exceeded", "messages")
    assert tiers(small, prompt_tokens=8000, requested_model=name) == [["sql"]]


def test_a_window_that_is_only_assumed_excludes_nobody() -> None:
    """Named or not; a default that was stated is no assumption."""
    assert tiers(SQL, prompt_tokens=60_000, requested_model="sql") == [["sql"]]
    stated = replace(SQL, capabilities={"window_known": True})
    with pytest.raises(PromptTooLong):
        tiers(stated, prompt_tokens=60_000, requested_model="sql")


def test_who_answers_no_chats_is_asked_for_none() -> None:
    """An expert may be registered for its embeddings alone."""
    embedder = replace(SQL, capabilities={"no_endpoints": ["chat"]})
    assert tiers(embedder, UNKNOWN) == [["lists"]]


def test_a_named_expert_is_asked_whatever_is_known_of_it() -> None:
    """It knows best itself; only its stand-ins have to be able. Rules hold for it as well."""
    assert tiers(BLIND, UNKNOWN, SEES, requested_model="sql", needs=IMAGES) == [
        ["sql", "general"],
        ["lists"],
    ]
    strict = Limits(require=Rules(residency=("eu",)))
    with pytest.raises(NoFeasibleExpert, match=r"'sql' may not be asked: .* no residency"):
        tiers(BLIND, SEES, requested_model="sql", limits=strict)


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        (Rules(tags=("eu",)), "has no tag eu"),
        (Rules(residency=("eu", "ch")), "has the residency us, not eu or ch"),
        (Rules(licence=("mit",)), "has no licence"),
        (Rules(data_class=()), "has the data class public, not any"),
        (Rules(local=True), "is not local"),
        (Rules(tags=("fast",), residency=("US",), data_class=("secret", "Public")), ""),
        (NO_RULES, ""),
    ],
)
def test_rules_are_broken_in_words(rules: Rules, told: str) -> None:
    """A label that is not there keeps to no rule about it."""
    labels = {"residency": "us", "data_class": "public"}
    expert = replace(SQL, tags=("fast",), labels=labels)
    assert rules.broken_by(expert) == told


def test_two_rules_hold_together() -> None:
    """Neither widens the other."""
    one = Rules(tags=("a",), residency=("eu", "ch"))
    other = Rules(tags=("b",), residency=("EU", "us"), local=True)
    assert one.and_(other) == Rules(tags=("a", "b"), residency=("eu",), local=True)
    assert one.and_(NO_RULES) == NO_RULES.and_(one) == one
    assert one.and_(Rules(residency=("us",))).residency == ()


def test_learning_asks_whoever_is_able() -> None:
    """Those that are known not to be are a waste of money."""
    assert able([BLIND, UNKNOWN, SEES], Query("", needs=IMAGES)) == [UNKNOWN, SEES]
    assert able([BLIND], Query("", prompt_tokens=5000)) == []


async def ask(desk: Desk, *experts: Expert, unavailable: Any = None, **query: Any) -> Any:
    asked = Query("sql tables", needs=IMAGES, **query)
    return await desk.router.decide(asked, experts, unavailable or down())


async def test_the_best_of_those_that_are_known_to_be_able_answers(desk: Desk) -> None:
    """The report tells of the others and why; they may answer if it fails."""
    decision = await ask(desk, BLIND, UNKNOWN, SEES)
    assert decision.expert == "general"
    assert [f.expert for f in decision.forecasts] == ["general", "lists", "sql"]
    assert of(decision, "lists").feasible
    assert of(decision, "lists").note == "only if needed: images unknown"
    assert not of(decision, "sql").feasible
    assert of(decision, "sql").note == "not eligible: takes no images"
    assert decision.reason.endswith("Left out: sql takes no images.")


async def test_who_may_be_able_answers_where_the_others_are_down_or_too_dear(desk: Desk) -> None:
    """Better a try than a refusal."""
    assert (await ask(desk, UNKNOWN, SEES, unavailable=down("general"))).expert == "lists"
    dear = replace(SEES, input_price=1e6, output_price=1e6)
    cheap, limits = replace(UNKNOWN, input_price=0.0, output_price=0.0), Limits(max_cost_usd=0.001)
    assert (await ask(desk, cheap, dear, limits=limits)).expert == "lists"


async def test_limits_that_nobody_able_keeps_are_told_with_who_is_not_able(desk: Desk) -> None:
    """So that the caller sees both."""
    dear = replace(SEES, input_price=1e6, output_price=1e6)
    with pytest.raises(NoFeasibleExpert, match=r"max_cost_usd.*Left out: sql takes no images"):
        await ask(desk, BLIND, dear, limits=Limits(max_cost_usd=0.001))
