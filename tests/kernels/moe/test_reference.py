"""The reference, against the formula in float64 one token after another."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from collegium.errors import KernelMisuse
from collegium.kernels.moe import Activation, fused_experts
from collegium.kernels.moe.activations import activated
from tests.kernels.moe.layers import layer, noise, routed


def by_formula(x: Tensor, w13: Tensor, w2: Tensor, ids: Tensor, weights: Tensor) -> Tensor:
    """Gated silu experts in float64."""
    rows = []
    for token, chosen, shares in zip(x.double(), ids.tolist(), weights.tolist(), strict=True):
        total = torch.zeros_like(token)
        for expert, share in zip(chosen, shares, strict=True):
            if expert >= 0:
                gate, up = (w13[expert].double() @ token).chunk(2)
                inner = gate / (1 + torch.exp(-gate)) * up
                total += share * (w2[expert].double() @ inner)
        rows.append(total)
    return torch.stack(rows)


def test_it_is_the_formula() -> None:
    """In float32, where nothing else is rounded."""
    made, x = layer("fp32"), noise(5, 9, 96)
    ids, weights = routed(6, 9, 4, 2)
    ids[2, 1] = ids[5] = -1
    found = fused_experts(x, made.packed, ids, weights)
    expected = by_formula(x, made.w13, made.w2, ids, weights)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)
    assert not found[5].any()


def test_shared_experts_and_the_residual_are_added() -> None:
    """For every token, with their own weights."""
    made, shared = layer("fp32"), layer("fp32", experts=2, inter=32)
    x, (ids, weights) = noise(5, 9, 96), routed(6, 9, 4, 2)
    share, rest = noise(7, 9), noise(8, 9)
    found = fused_experts(
        x, made.packed, ids, weights, shared=shared.packed, shared_weights=share, residual=rest
    )
    expected = by_formula(x, made.w13, made.w2, ids, weights) + rest[:, None] * x
    every = torch.tensor([[0, 1]]).expand(9, 2)
    expected += by_formula(x, shared.w13, shared.w2, every, share[:, None].expand(9, 2))
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)


def test_ungated_relu2() -> None:
    """Nemotron's experts."""
    rows = torch.tensor([[-1.0, 3.0]])
    assert activated(rows, Activation.RELU2, gated=False).tolist() == [[0.0, 9.0]]


def test_swigluoai_clamps_and_adds_one() -> None:
    """gpt-oss's: gate at most 7, up within 7."""
    found = activated(torch.tensor([[100.0, -20.0]]), Activation.SWIGLUOAI, gated=True)
    assert float(found) == pytest.approx((-7 + 1) * 7, abs=1e-3)


@pytest.mark.parametrize("wrong", [-2, 4, 2**31 - 1])
def test_ids_out_of_range_are_refused(wrong: int) -> None:
    """Nothing is computed with another expert's memory."""
    made, x = layer(), noise(5, 3, 96)
    ids, weights = routed(6, 3, 4, 2)
    ids[1, 1] = wrong
    with pytest.raises(KernelMisuse, match="expert ids must be -1 to 3"):
        fused_experts(x, made.packed, ids, weights)


def test_wrong_shapes_are_refused() -> None:
    """With what was expected."""
    made, (ids, weights) = layer(), routed(6, 3, 4, 2)
    with pytest.raises(KernelMisuse, match=r"x must be \(tokens, 96\)"):
        fused_experts(noise(5, 3, 95), made.packed, ids, weights)
    with pytest.raises(KernelMisuse, match=r"ids and weights must both be \(2, k\)"):
        fused_experts(noise(5, 2, 96), made.packed, ids, weights)
    with pytest.raises(KernelMisuse, match="no activation 'sine'"):
        fused_experts(noise(5, 3, 96), made.packed, ids, weights, "sine")
    with pytest.raises(KernelMisuse, match="float16"):
        fused_experts(noise(5, 3, 96).half(), made.packed, ids, weights)
    ungated = layer(gated=False).packed
    with pytest.raises(KernelMisuse, match="no ungated form"):
        fused_experts(noise(5, 3, 96), ungated, ids, weights, "swigluoai")
