"""Which prompts a run replays."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from collegium.router.learning.sampling import sample

NAMES = st.lists(st.sampled_from(["desk", "shop", None]), min_size=1, max_size=60)


@given(NAMES, st.integers(1, 80), st.integers(0, 5))
def test_each_prompt_is_taken_once(names: list[str | None], most: int, seed: int) -> None:
    """As many as there are, or as are wanted; the same for the same seed."""
    chosen = sample(names, most, seed=seed)
    assert len(chosen) == len(set(chosen)) == min(most, len(names))
    assert chosen == sample(names, most, seed=seed)


def test_small_applications_are_not_left_out() -> None:
    """Shares go by the root of the sizes: 900 and 100 prompts give three to one."""
    names = ["large"] * 900 + ["small"] * 100
    counts = Counter(names[row] for row in sample(names, 100))
    assert 70 <= counts["large"] <= 80


def test_applications_take_turns() -> None:
    """A run that ends early has asked of all of them."""
    names = ["large"] * 500 + ["middle"] * 120 + ["small"] * 30
    assert {names[row] for row in sample(names, 650)[:12]} == {"large", "middle", "small"}
