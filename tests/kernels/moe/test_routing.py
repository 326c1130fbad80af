"""Gating: what models' routers choose, whatever their neighbours."""

from __future__ import annotations

import pytest
import torch

from collegium.errors import KernelMisuse
from collegium.kernels.moe import Gating, Scoring, route
from tests.kernels.moe.layers import noise

GATINGS = {
    "softmax": Gating(3),
    "renormalised": Gating(3, renormalise=True, scale=2.5),
    "sigmoid": Gating(4, Scoring.SIGMOID, renormalise=True),
    "sqrtsoftplus": Gating(2, Scoring.SQRT_SOFTPLUS),
    "grouped": Gating(4, Scoring.SIGMOID, groups=4, top_groups=2),
    "top-p": Gating(6, renormalise=True, top_p=0.5),
}


def test_softmax_top_k() -> None:
    """The best first, with their share of all the mass or of the chosen."""
    logits = torch.tensor([[1.0, 3.0, 2.0, 0.0]]).log()
    ids, weights = route(logits, Gating(2))
    assert ids.tolist() == [[1, 2]]
    torch.testing.assert_close(weights, torch.tensor([[0.5, 1 / 3]]))
    torch.testing.assert_close(
        route(logits, Gating(2, renormalise=True, scale=10))[1], torch.tensor([[6.0, 4.0]])
    )


def test_a_bias_chooses_and_does_not_weigh() -> None:
    """vLLM's CPU router ignores it for ungrouped softmax."""
    logits = torch.tensor([[1.0, 3.0, 2.0, 0.0]]).log()
    ids, weights = route(logits, Gating(2), torch.tensor([9.0, 0.0, 0.0, 0.0]))
    assert ids.tolist() == [[0, 1]]
    torch.testing.assert_close(weights, torch.tensor([[1 / 6, 0.5]]))


def test_groups_close_their_experts() -> None:
    """A closed group's best expert is not chosen; with a bias two experts make a merit."""
    logits = torch.tensor([[2.0, -2.0, 1.5, 1.4]])
    gating = Gating(2, Scoring.SIGMOID, groups=2, top_groups=1)
    assert route(logits, gating)[0].tolist() == [[0, 1]]
    assert route(logits, gating, torch.zeros(4))[0].tolist() == [[2, 3]]


def test_top_p_drops_the_tail() -> None:
    """A slot stays while the mass before it is short of p."""
    logits = torch.tensor([[0.5, 0.25, 0.15, 0.1]]).log()
    ids, weights = route(logits, Gating(4, top_p=0.7, renormalise=True))
    assert ids.tolist() == [[0, 1, -1, -1]]
    torch.testing.assert_close(weights, torch.tensor([[2 / 3, 1 / 3, 0, 0]]))


@pytest.mark.parametrize("name", GATINGS)
@pytest.mark.parametrize("biased", [True, False])
def test_rows_do_not_see_each_other(name: str, biased: bool) -> None:
    """Also with ties, which the lowest id wins."""
    logits = (2 * noise(1, 50, 16)).round() / 2
    bias = noise(2, 16).round() / 4 if biased else None
    ids, weights = route(logits, GATINGS[name], bias)
    order = torch.randperm(50, generator=torch.Generator().manual_seed(3))[:17]
    some_ids, some_weights = route(logits[order], GATINGS[name], bias)
    assert torch.equal(some_ids, ids[order])
    assert torch.equal(some_weights, weights[order])


def test_ties_go_to_the_lowest_id() -> None:
    """Not to whatever a partial sort leaves in front."""
    assert route(torch.zeros(2, 64), Gating(5))[0].tolist() == [[0, 1, 2, 3, 4]] * 2


@pytest.mark.parametrize(
    ("gating", "reason"),
    [
        (Gating(0), "k must be"),
        (Gating(9), "k must be"),
        (Gating(2, top_p=0.0), "top_p"),
        (Gating(2, groups=3, top_groups=1), "groups of equal size"),
        (Gating(5, groups=2, top_groups=1), "fewer than 5"),
    ],
)
def test_gating_that_can_not_be_is_refused(gating: Gating, reason: str) -> None:
    """With the reason."""
    with pytest.raises(KernelMisuse, match=reason):
        route(torch.zeros(1, 8), gating)
