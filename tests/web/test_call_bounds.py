"""The most that a call may take, and the length that a budget sets where a request sets none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from collegium.experts.fitting import USEFUL
from collegium.registry.capabilities import WINDOW
from collegium.registry.expert import Expert
from collegium.router.costs import Speeds
from collegium.router.decision import Query
from collegium.router.tokens import Tokens
from collegium.web.serving.call_bounds import LEAST_WISH, CallBounds

ENGINE = Expert("small", "engine", "small", engine="embedded")
REMOTE = Expert("gpt", "openai", "gpt", base_url="https://api.example/v1", context_window=8000)


def wish(expert: Expert, prompt: int) -> int:
    """The length that a limited key's request gets."""
    bounds = CallBounds(Tokens(), Speeds(10.0))
    return bounds.of(expert, Query("words"), prompt, None).wish


@pytest.mark.parametrize("prompt", [1900, 2000, 5000])
def test_near_the_window_a_budget_sets_no_useless_length(prompt: int) -> None:
    """The engine says whether there is room; one token of an answer is paid for, and useless."""
    assert wish(ENGINE, prompt) == USEFUL


def test_elsewhere_the_window_of_an_engine_limits_it_and_a_remote_one_knows_its_own() -> None:
    """What our engine would refuse isn't asked for."""
    assert USEFUL < wish(ENGINE, 100) < 2048 - 100
    assert wish(REMOTE, 7990) == wish(REMOTE, 100)


@pytest.mark.parametrize(("stated", "expected"), [(True, 2048 - 125), (False, LEAST_WISH)])
def test_a_stated_window_limits_the_length_that_is_added(stated: bool, expected: int) -> None:
    """Also one as large as the assumed one. Of 100 prompt tokens the expert may count 125."""
    lengths = Tokens()
    for _ in range(100):
        lengths.learn("gpt", None, 5)
    expert = replace(REMOTE, context_window=2048, capabilities={WINDOW: stated})
    assert CallBounds(lengths, Speeds(10.0)).of(expert, Query("words"), 100, None).wish == expected
