"""An output row's bits depend on that row alone: attacks and accidents that could show otherwise.

The capacity policy of Hayes, Shumailov and Yona (arXiv 2402.05526), by which one tenant's tokens
displace another's, is the positive control: the same check must catch it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from collegium.kernels.moe import Activation, Gating, PackedExperts, fused_experts, route
from collegium.kernels.moe.formats import Format
from collegium.kernels.moe.isa import Isa, available
from tests.kernels.moe.layers import layer, noise, routed

COMPILED = available()[1:]
Experts = Callable[[Tensor, PackedExperts, Tensor, Tensor], Tensor]


@pytest.fixture
def threads() -> Iterator[None]:
    """The number of threads as it was, after the test."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    isa=st.sampled_from(COMPILED), form=st.sampled_from(Format), gated=st.booleans(),
    activation=st.sampled_from([a for a in Activation if a is not Activation.SWIGLUOAI]),
    experts=st.integers(1, 6), hidden=st.integers(8, 150), inter=st.integers(4, 100),
    tokens=st.integers(1, 40), one_expert=st.booleans(), floats=st.booleans(),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_any_subset_in_any_order_has_the_same_bits(
    isa: Isa, form: Format, gated: bool, activation: Activation, experts: int, hidden: int,
    inter: int, tokens: int, one_expert: bool, floats: bool, seed: int,
) -> None:  # fmt: skip
    """Also alone, and where one expert has every row."""
    packed = layer(form, experts=experts, hidden=hidden, inter=inter, gated=gated).packed
    x = noise(seed, tokens, hidden).to(torch.float32 if floats else torch.bfloat16)
    ids, weights = routed(seed, tokens, experts, min(2, experts))
    ids = torch.zeros_like(ids) if one_expert else ids
    whole = fused_experts(x, packed, ids, weights, activation, isa=isa)
    order = noise(seed + 1, tokens).argsort()
    for rows in (order, order[: tokens // 2 + 1], order[:1]):
        some = fused_experts(x[rows], packed, ids[rows], weights[rows], activation, isa=isa)
        assert torch.equal(some, whole[rows])


@pytest.mark.parametrize("isa", COMPILED)
@pytest.mark.parametrize("form", Format)
def test_the_edges_of_tiles_do_not_show(isa: Isa, form: Format) -> None:
    """One to fourteen rows, and more than wait together."""
    packed = layer(form).packed
    x, (ids, weights) = noise(5, 205, 96).bfloat16(), routed(6, 205, 4, 2)
    whole = fused_experts(x, packed, ids, weights, isa=isa)
    for rows in (*range(1, 15), 95, 97, 193):
        some = fused_experts(x[:rows], packed, ids[:rows], weights[:rows], isa=isa)
        assert torch.equal(some, whole[:rows])


HOSTILE: dict[str, Callable[[Tensor], Tensor]] = {
    "copies": lambda x: x,
    "infinite": lambda x: torch.full_like(x, torch.inf),
    "not numbers": lambda x: torch.full_like(x, torch.nan),
    "huge": lambda x: torch.full_like(x, 1e38),
    "denormal": lambda x: torch.full_like(x, 1e-40),
}


def victim_is_untouched(experts: Experts, form: Format, attack: str, count: int) -> bool:
    """Whether a row's bits stay the same when `count` rows with its experts come before it."""
    packed = layer(form).packed
    x, (ids, weights) = noise(5, 1, 96).bfloat16(), routed(6, 1, 4, 2)
    alone = experts(x, packed, ids, weights)
    many = torch.cat((HOSTILE[attack](x).expand(count, -1), x))
    together = experts(many, packed, ids.expand(count + 1, -1), weights.expand(count + 1, -1))
    return torch.equal(together[-1], alone[0])


@pytest.mark.parametrize("isa", COMPILED)
@pytest.mark.parametrize("form", Format)
@pytest.mark.parametrize("attack", HOSTILE)
def test_hostile_neighbours_change_nothing(isa: Isa, form: Format, attack: str) -> None:
    """They saturate the victim's experts and hold what arithmetic spreads."""

    def ours(x: Tensor, packed: PackedExperts, ids: Tensor, weights: Tensor) -> Tensor:
        return fused_experts(x, packed, ids, weights, isa=isa)

    for count in (1, 5, 300):
        assert victim_is_untouched(ours, form, attack, count)


def with_capacity(x: Tensor, packed: PackedExperts, ids: Tensor, weights: Tensor) -> Tensor:
    """Drop the slots for which an expert has no room: what a static buffer does."""
    ids = ids.clone()
    for expert in range(packed.experts):
        taken = torch.nonzero(ids == expert)[16:]
        ids[taken[:, 0], taken[:, 1]] = -1
    return fused_experts(x, packed, ids, weights)


def test_the_check_catches_a_capacity_policy() -> None:
    """The positive control: 300 copies fill the victim's experts, and its answer changes."""
    assert victim_is_untouched(with_capacity, Format.BF16, "copies", 5)
    assert not victim_is_untouched(with_capacity, Format.BF16, "copies", 300)


@pytest.mark.parametrize("form", Format)
@pytest.mark.usefixtures("threads")
def test_threads_and_their_order_do_not_show(form: Format) -> None:
    """Tasks go to whoever is free, so each run has another order: fifty runs."""
    packed = layer(form, hidden=320, inter=192).packed
    x, (ids, weights) = noise(5, 37, 320).bfloat16(), routed(6, 37, 4, 2)
    torch.set_num_threads(1)
    expected = fused_experts(x, packed, ids, weights)
    for run in range(50):
        torch.set_num_threads(2 + run % 3)
        assert torch.equal(fused_experts(x, packed, ids, weights), expected)


def test_a_prompt_in_chunks_is_the_whole_prompt() -> None:
    """Gate, top-p and experts together, as a service computes a prompt."""
    packed, x = layer(experts=8).packed, noise(5, 64, 96).bfloat16()
    gating = Gating(4, renormalise=True, top_p=0.6)
    ids, weights = route(noise(6, 64, 8), gating)
    whole = fused_experts(x, packed, ids, weights)
    parts = []
    for first in range(0, 64, 13):
        chunk = slice(first, first + 13)
        routed_chunk = route(noise(6, 64, 8)[chunk], gating)
        parts.append(fused_experts(x[chunk], packed, *routed_chunk))
    assert torch.equal(torch.cat(parts), whole)


def test_the_order_of_slots_does_not_show() -> None:
    """Experts are summed in the order of their ids."""
    packed, x = layer().packed, noise(5, 20, 96).bfloat16()
    ids, weights = routed(6, 20, 4, 3)
    found = fused_experts(x, packed, ids.flip(1), weights.flip(1))
    assert torch.equal(found, fused_experts(x, packed, ids, weights))
