"""Day one: what is expected of experts before anything was measured, and who is best."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from collegium.experts.questions import KINDS
from collegium.experts.roster import embedded_experts
from collegium.registry.expert import Expert
from collegium.router.model_names import canonical
from collegium.router.priors import (
    BY_PRICE,
    BY_SIZE,
    OWNER_SD,
    PUBLISHED_SD,
    Fit,
    cheapest,
    day_one_rank,
    prior_of,
    published,
)


def remote(model: str, *prices: float, **fields: object) -> Expert:
    """An expert whose name says nothing."""
    listed = dict(zip(("input_price", "output_price"), prices, strict=False))
    return Expert(f"e-{model}".replace("/", "-"), "openai", model, **listed, **fields)  # type: ignore[arg-type]


def test_the_table_is_large_and_says_where_each_figure_comes_from() -> None:
    """Every name stands for one row; scores are shares."""
    rows = published()
    assert len(rows) >= 80
    names = [canonical(name) for row in rows for name in row.names]
    assert len(names) == len(set(names))
    for row in rows:
        assert 0.1 < row.score < 1
        assert row.source


@pytest.mark.parametrize(("fit", "field"), [(BY_SIZE, "parameters_b"), (BY_PRICE, "output_price")])
def test_the_fits_are_those_of_the_table(fit: Fit, field: str) -> None:
    """Least squares in the log-odds, recomputed; the sd is that of the score."""
    rows = [row for row in published() if getattr(row, field)]
    x = np.log([getattr(row, field) for row in rows])
    score = np.array([row.score for row in rows])
    slope, intercept = np.polyfit(x, np.log(score / (1 - score)), 1)
    residual = score - 1 / (1 + np.exp(-intercept - slope * x))
    assert (fit.intercept, fit.slope) == pytest.approx((intercept, slope), abs=6e-4)
    assert fit.sd == pytest.approx(math.sqrt(residual @ residual / (len(rows) - 2)), abs=6e-4)


def test_the_owners_word_comes_first_then_figures_then_size_then_price() -> None:
    """Each says where it comes from, and how sure it is."""
    expert = remote("gpt-4o", 2.5, 10.0, parameters_b=8.0, prior=0.3)
    stated = prior_of(expert)
    assert stated is not None
    assert (stated.value, stated.sd, stated.source) == (0.3, OWNER_SD, "stated by the owner")
    figure = prior_of(replace(expert, prior=None))
    assert figure is not None
    assert (figure.value, figure.sd) == (0.726, PUBLISHED_SD)
    assert "published for gpt-4o: DeepSeek-V3 technical report" in figure.source
    unheard = replace(expert, prior=None, name="x", model="unheard-of")
    by_size = prior_of(unheard)
    assert by_size is not None
    assert (by_size.value, by_size.sd) == (BY_SIZE.at(8.0), BY_SIZE.sd)
    by_price = prior_of(replace(unheard, parameters_b=None))
    assert by_price is not None
    assert (by_price.value, by_price.sd) == (BY_PRICE.at(10.0), BY_PRICE.sd)


def test_a_profile_tells_more_than_size_and_price() -> None:
    """The mean over its kinds, once enough of them were asked; a published score goes before."""
    skills = dict.fromkeys(list(KINDS)[:9], 0.5) | {"arithmetic": 0.95, "poems": 0.0}
    expert = remote("unheard-of", 1.0, 2.0, parameters_b=8.0, skills=skills)
    measured = prior_of(expert)
    assert measured is not None
    assert measured.value == pytest.approx(0.55)
    assert "9 kinds of general questions" in measured.source
    few = prior_of(replace(expert, skills=dict.fromkeys(list(KINDS)[:7], 0.5)))
    assert few is not None
    assert "by its size" in few.source
    known = prior_of(replace(expert, model="gpt-4o"))
    assert known is not None
    assert "published" in known.source


@pytest.mark.parametrize("price", [None, 0.0])
def test_of_an_unheard_of_model_without_a_price_nothing_is_known(price: float | None) -> None:
    """A price of 0 tells nothing of quality."""
    assert prior_of(remote("unheard-of", input_price=price, output_price=price)) is None


def test_the_name_of_the_expert_helps_where_its_model_is_an_alias() -> None:
    """A model's own name comes first."""
    alias = Expert("gpt-4o", "openai", "default", base_url="http://h/v1")
    assert prior_of(alias) == prior_of(remote("gpt-4o"))
    other = Expert("gpt-4o", "openai", "llama3.1:8b", base_url="http://h/v1")
    assert prior_of(other) == prior_of(remote("llama-3.1-8b"))


POOLS = {
    "brief": ["gpt-4o", "gpt-4o-mini", "meta-llama/Meta-Llama-3-8B-Instruct", "smollm2-135m"],
    "openai": ["gpt-5.2", "gpt-4.1", "gpt-4o", "gpt-4o-mini", "gpt-3.5-turbo"],
    "anthropic": ["claude-opus-4-5", "claude-sonnet-4-20250514", "claude-3-5-haiku-latest",
                  "claude-3-haiku-20240307"],
    "google": ["gemini/gemini-2.5-pro", "gemini/gemini-2.5-flash", "gemini-1.5-flash-002",
               "google/gemma-3-4b-it", "google/gemma-3-1b-it"],
    "qwen": ["qwen2.5:72b", "qwen2.5:32b", "qwen2.5:14b", "qwen2.5:7b", "qwen2.5:3b",
             "qwen2.5:1.5b", "qwen2.5:0.5b"],
    "llama": ["llama-3.1-405b", "llama-3.3-70b-versatile", "llama-3.1-8b-instant",
              "llama-3.2-3b", "llama-3.2-1b"],
    "quantised": ["Qwen3-30B-A3B-Instruct-2507-FP8", "Qwen2.5-7B-Instruct-Q4_K_M.gguf",
                  "Mistral-7B-Instruct-v0.3-AWQ"],
    "aggregators": ["deepseek/deepseek-r1-0528", "openai/gpt-oss-20b", "mistralai/mixtral-8x7b",
                    "google/gemma-2-2b-it:free"],
    "old": ["gpt-4-1106-preview", "claude-2.1", "mixtral-8x7b-instruct", "llama-2-13b-chat"],
    "unheard of, by size": ["mine-70b", "mine-13b", "mine-1.5b", "mine-350m"],
    "phi": ["phi4", "phi-4-mini-instruct", "phi-3.5-mini", "smollm2:1.7b"],
    "reasoning": ["deepseek-reasoner", "o4-mini", "deepseek-chat", "deepseek-r1:8b"],
}  # fmt: skip


@pytest.mark.parametrize("pool", POOLS)
def test_realistic_pools_are_ranked_as_everybody_would(pool: str) -> None:
    """In any order of registration."""
    experts = [remote(model) for model in POOLS[pool]]
    assert day_one_rank(experts[::-1]) == experts


def test_what_somebody_registered_comes_before_the_demonstration_pool() -> None:
    """A small coder, and one of which nothing is known; then adapters on our model."""
    coder = remote("qwen2.5-coder-1.5b", generalist=True)
    unknown = remote("unheard-of")
    poet = Expert("poet", "lora", "poet", engine="embedded", adapter="/adapters/poet")
    ours = embedded_experts(2048)
    ranked = day_one_rank([*ours, poet, coder, unknown])
    assert [e.name for e in ranked[:4]] == [coder.name, unknown.name, "poet", "smollm2"]
    assert {e.name for e in ranked[3:]} == {e.name for e in ours}


def test_a_stated_prior_moves_an_expert() -> None:
    """Up and down, but never an embedded one past a registered one."""
    good, bad = remote("gpt-4o"), remote("llama-3.2-1b")
    assert day_one_rank([good, bad]) == [good, bad]
    praised = replace(bad, prior=0.9)
    assert day_one_rank([good, praised]) == [praised, good]
    ours = replace(embedded_experts(2048)[0], prior=1.0)
    assert day_one_rank([ours, bad]) == [bad, ours]


def test_presets_of_a_model_share_its_prior() -> None:
    """They have its name; the owner's word for one is its own."""
    base = remote("gpt-4o", 2.5, 10.0)
    think = replace(base, name="think", preset={"base": base.name, "body": {"temperature": 0}})
    assert prior_of(think) == prior_of(base)
    assert day_one_rank([replace(think, prior=0.9), base])[0].name == "think"


def test_the_cheapest_comes_first_and_unknown_prices_last() -> None:
    """Among equals the better one; half a price is an unknown one."""
    free, twin = remote("llama-3.2-1b", 0.0, 0.0), remote("llama-3.1-8b", 0.0, 0.0)
    dear, half = remote("gpt-4o", 2.5, 10.0), remote("gpt-4o-mini", 0.15)
    unknown = remote("unheard-of")
    order = cheapest([unknown, half, dear, free, twin])
    assert order == [twin, free, dear, half, unknown]


def test_larger_and_dearer_models_are_expected_to_be_better() -> None:
    """As the fits say, within (0, 1)."""
    for fit in (BY_SIZE, BY_PRICE):
        values = [fit.at(x) for x in (0.01, 0.135, 1.0, 8.0, 70.0, 1000.0)]
        assert all(a < b for a, b in pairwise(values))
        assert all(0 < value < 1 for value in values)
