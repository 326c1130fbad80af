"""Lengths of answers: wide without evidence, close with it, and never below what was seen."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from collegium.experts.clients.counting import PER_MESSAGE, estimated_tokens
from collegium.registry.expert import Expert
from collegium.router.costs import DEFAULT_TOKENS
from collegium.router.decision import Query
from collegium.router.tokens import FADING, Tokens

GPT = Expert("gpt", "openai", "gpt-4o")
THINKER = Expert("thinker", "openai", "deepseek-r1")
Lengths = NDArray[np.int64]


def lengths(median: float, spread: float, count: int, seed: int = 0) -> Lengths:
    """Log-normal lengths, at least one token each."""
    drawn = np.random.default_rng(seed).lognormal(np.log(median), spread, count)
    return np.maximum(drawn, 1).astype(np.int64)


def taught(*answers: tuple[str | None, Lengths]) -> Tokens:
    """What was learnt from these applications' answers."""
    tokens = Tokens()
    for application, found in answers:
        for length in found:
            tokens.learn("gpt", application, int(length))
    return tokens


def test_without_answers_the_mean_is_usual_and_the_most_is_generous() -> None:
    """The longest-winded of the recorded models stays within 1,500 tokens."""
    found = Tokens().forecast(GPT, None)
    assert found.mean == DEFAULT_TOKENS
    assert 1500 < found.most < 3000


@pytest.mark.parametrize("model", ["o3-mini", "deepseek-r1", "qwq-32b", "qwen3-4b-thinking"])
def test_models_that_reason_are_expected_to_write_more(model: str) -> None:
    """Their thoughts are billed."""
    found = Tokens().forecast(Expert("it", "openai", model), None)
    assert found.mean > 10 * DEFAULT_TOKENS
    assert found.most > 20_000


@pytest.mark.parametrize("model", ["gpt-4o", "qwen2.5-7b-instruct", "SmolLM2-135M-Instruct"])
def test_ordinary_models_are_not_taken_for_reasoning_ones(model: str) -> None:
    """A name has to say so."""
    assert Tokens().forecast(Expert("it", "openai", model), None).mean == DEFAULT_TOKENS


def test_a_fitted_router_s_mean_is_the_forecast_until_answers_come() -> None:
    """And the quantile is a multiple of it."""
    found = Tokens().forecast(GPT, None, 20.0)
    assert found.mean == 20.0
    assert 100 < found.most < 400


@pytest.mark.parametrize(("median", "spread"), [(5, 0.3), (60, 0.6), (300, 0.9), (900, 0.5)])
def test_with_answers_nearly_all_others_stay_within_the_most(median: float, spread: float) -> None:
    """And it is not much more than it has to be: 98 % of a log-normal lie within this many."""
    found = taught(("chat", lengths(median, spread, 100))).forecast(GPT, "chat")
    others = lengths(median, spread, 20_000, seed=1)
    assert np.mean(others <= found.most) >= 0.975
    assert found.most <= 2.5 * np.quantile(others, 0.98)
    assert found.mean == pytest.approx(others.mean(), rel=0.25)


def test_two_humps_are_covered() -> None:
    """A model that falls into a loop once in twenty answers: no log-normal has this shape."""
    mixed = lengths(40, 0.3, 200)
    mixed[::20] = 1024
    assert taught(("chat", mixed)).forecast(GPT, "chat").most >= 1024


def test_an_application_is_told_from_another() -> None:
    """One asks for letters, one for programs."""
    tokens = taught(("letters", lengths(2, 0.2, 50)), ("programs", lengths(400, 0.4, 50)))
    letters, programs = tokens.forecast(GPT, "letters"), tokens.forecast(GPT, "programs")
    assert letters.most < 10
    assert programs.most > 700
    assert letters.mean < tokens.forecast(GPT, "new").mean < programs.mean


def test_an_application_without_answers_takes_after_the_others_of_the_expert() -> None:
    """The more applications are alike, the surer."""
    terse = [(f"a{i}", lengths(10, 0.3, 20, seed=i)) for i in range(6)]
    one, six = taught(*terse[:1]).forecast(GPT, "new"), taught(*terse).forecast(GPT, "new")
    nobody = Tokens().forecast(GPT, "new")
    assert six.most < one.most < nobody.most
    assert six.mean < one.mean < nobody.mean


def test_an_expert_that_becomes_wordier_is_followed() -> None:
    """Old answers fade."""
    tokens = taught(("chat", lengths(20, 0.3, 500)), ("chat", lengths(200, 0.3, 200)))
    assert tokens.forecast(GPT, "chat").mean == pytest.approx(200, rel=0.4)
    assert FADING < 1


def test_an_answer_that_was_cut_says_only_that_it_is_long() -> None:
    """One that asks for five tokens must not teach that answers have five."""
    tokens = taught(("chat", lengths(100, 0.3, 20)))
    before = tokens.forecast(GPT, "chat")
    tokens.learn("gpt", "chat", 5, cut=True)
    assert tokens.forecast(GPT, "chat") == before
    tokens.learn("gpt", "chat", 1000, cut=True)
    assert tokens.forecast(GPT, "chat").most > before.most


def test_cut_answers_never_narrow_the_quantile() -> None:
    """A budget that cuts answers would otherwise teach that they end there, and cut more."""
    tokens = taught(("chat", lengths(100, 0.9, 40)))
    before = tokens.forecast(GPT, "chat")
    for _ in range(200):
        tokens.learn("gpt", "chat", round(1.5 * before.mean), cut=True)
    after = tokens.forecast(GPT, "chat")
    assert after.most >= 0.99 * before.most
    assert before.mean < after.mean <= 1.5 * before.mean


def test_a_request_s_and_an_engine_s_limits_hold() -> None:
    """`max_tokens` is for each choice; an engine's context holds prompt and answer."""
    tokens = Tokens()
    assert tokens.within(GPT, Query("", max_tokens=40, choices=3), 10, None) == (120, 120)
    local = Expert("local", "engine", "local", engine="embedded", context_window=512)
    mean, most = tokens.within(local, Query(""), 400, None)
    assert (mean, most) == (112, 112)


def test_answers_of_the_past_are_recalled() -> None:
    """As if they had passed by."""
    past = lengths(30, 0.4, 40)
    tokens = Tokens()
    tokens.recall(("gpt", "chat", int(length)) for length in past)
    assert tokens.forecast(GPT, "chat") == taught(("chat", past)).forecast(GPT, "chat")


def test_a_forecast_takes_a_few_microseconds() -> None:
    """A request makes one for each expert; the best of several rounds, for others use the cores."""
    tokens = taught(("chat", lengths(30, 0.4, 100)))
    rounds = []
    for _ in range(10):
        started = time.perf_counter()
        for _ in range(1000):
            tokens.forecast(GPT, "chat", 100.0)
        rounds.append(time.perf_counter() - started)
    assert min(rounds) / 1000 < 5e-6


def test_what_an_expert_reads_beside_the_prompt_is_learnt() -> None:
    """Such as what an endpoint retrieves."""
    tokens = Tokens()
    assert tokens.prompt(GPT, 100) == (100, 125)
    tokens.read(GPT, 100, 110)
    assert tokens.prompt(GPT, 100) == (100, 125)
    tokens.read(GPT, 100, 3125)
    assert tokens.prompt(GPT, 10) == (3010, 3013)
    assert tokens.prompt(THINKER, 10) == (10, 13)


def preset(body: dict[str, Any], **texts: str) -> Expert:
    """GPT with a preset."""
    return replace(GPT, name="preset", preset={"base": "gpt", "body": body, **texts})


def test_a_preset_s_text_is_counted_before_anybody_was_asked() -> None:
    """And is not learnt once more."""
    tokens, long = Tokens(), preset({}, system="Think first. " * 100)
    own = estimated_tokens("Think first. " * 100) + PER_MESSAGE
    about, most = tokens.prompt(long, 100)
    assert (about, most) == (100 + own, math.ceil(1.25 * (100 + own)))
    tokens.read(long, 100, most)
    assert tokens.prompt(long, 100) == (about, most)
    changed = preset({}, template="Briefly: {prompt}")
    assert tokens.prompt(changed, 100)[0] < 120


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_a_preset_s_max_tokens_hold_unless_the_request_sets_its_own(name: str) -> None:
    """Of each choice."""
    tokens, short = Tokens(), preset({name: 40})
    assert tokens.within(short, Query("", choices=3), 10, None) == (120, 120)
    assert tokens.within(short, Query("", max_tokens=60), 10, None) == (60, 60)
    assert tokens.allowed(preset({"temperature": 0}), Query("")) is None


@pytest.mark.parametrize(
    "body",
    [
        {"reasoning_effort": "low"},
        {"reasoning": {"max_tokens": 2000}},
        {"thinking": {"type": "enabled", "budget_tokens": 4000}},
        {"chat_template_kwargs": {"enable_thinking": True}},
    ],
)
def test_a_preset_that_turns_thoughts_on_is_expected_to_write_more(body: dict[str, Any]) -> None:
    """Whatever its model is called."""
    assert Tokens().forecast(preset(body), None) == Tokens().forecast(THINKER, None)


@pytest.mark.parametrize(
    "body",
    [
        {"reasoning_effort": "none"},
        {"thinking": {"type": "disabled"}},
        {"chat_template_kwargs": {"enable_thinking": False}},
    ],
)
def test_a_preset_that_turns_thoughts_off_is_an_ordinary_one(body: dict[str, Any]) -> None:
    """As its model is."""
    assert Tokens().forecast(preset(body), None) == Tokens().forecast(GPT, None)
