"""Prices and context windows that nobody stated, from LiteLLM's list."""

from __future__ import annotations

from dataclasses import replace

import pytest

from collegium.experts.model_info import with_listed
from collegium.experts.prices import Listed, listed, price_list
from collegium.experts.registration import Registration
from collegium.registry.expert import Expert
from tests.experts.api_server import ApiServer

GPT = Expert("gpt", "litellm", "openai/gpt-4o-mini")
MINI = Listed(
    "gpt-4o-mini",
    0.15,
    0.6,
    128_000,
    {
        "cached_input": 0.075,
        "cached_input_priority": 0.125,
        "input_priority": 0.25,
        "output_priority": 1.0,
    },
)


def at(url: str, model: str) -> Expert:
    """A model behind an OpenAI-compatible address."""
    return Expert("there", "openai", model, base_url=url)


@pytest.mark.parametrize(
    ("expert", "key"),
    [
        (GPT, "gpt-4o-mini"),
        (replace(GPT, model="gpt-4o-mini"), "gpt-4o-mini"),
        (replace(GPT, model="ollama/llama3"), "ollama/llama3"),
        (at("https://api.openai.com/v1", "gpt-4o-mini"), "gpt-4o-mini"),
        (at("https://api.deepseek.com/v1", "deepseek-chat"), "deepseek/deepseek-chat"),
        (at("http://proxy.local:4000/v1", "openai/gpt-4o-mini"), "gpt-4o-mini"),
        (at("http://127.0.0.1:9/v1", "gpt-4o-mini"), "gpt-4o-mini"),
    ],
)
def test_a_model_is_found_by_its_name_and_its_provider(expert: Expert, key: str) -> None:
    """As LiteLLM names it, with the provider's prefix or without, or by the address's host."""
    entry = listed(expert)
    assert entry is not None
    assert entry.key == key


@pytest.mark.parametrize(
    "expert",
    [
        replace(GPT, model="openai/mine"),
        replace(GPT, model="nobody/gpt-4o-mini"),
        replace(GPT, model="openai/text-embedding-3-small"),
        at("http://127.0.0.1:9/v1", "tiny"),
        at("https://api.groq.com/openai/v1", "gpt-4o-mini"),
    ],
)
def test_another_providers_price_is_not_taken(expert: Expert) -> None:
    """Nor that of a model that gives no text."""
    assert listed(expert) is None


def test_prices_are_dollars_per_million_tokens() -> None:
    """The list has them per token."""
    assert listed(GPT) == MINI


def test_a_missing_price_is_unknown_and_not_free() -> None:
    """The list has zeros where a provider gave trials; only engines at home are free."""
    for key, entry in price_list().items():
        if entry.get("output_cost_per_token") == 0 and entry.get("mode") == "chat":
            found = listed(replace(GPT, model=key))
            assert found is not None
            assert found.output_price in ((0.0,) if key.startswith("ollama") else (None, 0.0))
            if found.output_price == 0:
                assert found.input_price or key.startswith("ollama")


def test_what_the_owner_said_is_not_overwritten() -> None:
    """Each field by itself; and where a value came from is told."""
    expert, sources = with_listed(replace(GPT, input_price=0.0), context_stated=False)
    assert (expert.input_price, expert.output_price) == (0.0, MINI.output_price)
    assert expert.context_window == MINI.context_window
    source = "LiteLLM's price list, as gpt-4o-mini"
    assert sources == {"context_window": source, "output_price": source}
    stated = replace(GPT, input_price=1.0, output_price=2.0, context_window=4096)
    assert with_listed(stated, context_stated=True) == (stated, {})


def test_further_prices_come_with_the_lists_prices_only() -> None:
    """The discount on another price than the list's is not known."""
    found, sources = with_listed(GPT, context_stated=True)
    assert found.prices == MINI.prices
    assert sorted(sources) == ["input_price", "output_price", "prices"]
    as_listed = replace(GPT, input_price=0.15, output_price=0.6)
    assert with_listed(as_listed, context_stated=True)[0].prices == MINI.prices
    own = replace(GPT, prices={"cached_input": 0.1})
    assert with_listed(own, context_stated=True)[0].prices == {"cached_input": 0.1}
    other = replace(GPT, input_price=0.2)
    assert with_listed(other, context_stated=True)[0].prices == {}


def test_what_runs_here_is_not_looked_up() -> None:
    """Whatever its model is called, an engine of ours has no price per token unless it is given."""
    here = Expert("gpt-4o-mini", "engine", "gpt-4o-mini", engine="gpt-4o-mini")
    assert with_listed(here, context_stated=False) == (here, {})
    assert (here.input_price, here.output_price) == (0.0, 0.0)


async def test_registering_looks_up_and_tells(registration: Registration, api: ApiServer) -> None:
    """An unknown model's price stays unknown."""
    expert, report = await registration.register(at(api.url, "tiny"))
    assert (expert.input_price, expert.output_price, report.looked_up) == (None, None, {})
