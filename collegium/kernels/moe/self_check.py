"""A quick check at load time that the kernels agree with plain torch."""

from __future__ import annotations

import torch

from collegium.kernels.moe.activations import Activation
from collegium.kernels.moe.formats import Format
from collegium.kernels.moe.isa import Isa, chosen
from collegium.kernels.moe.ops import fused_experts
from collegium.kernels.moe.packed import pack
from collegium.kernels.moe.reference import forward

TOLERANCE = {Format.FP32: 1e-4, Format.BF16: 2e-2, Format.INT8: 3e-2}
TOKENS, EXPERTS, HIDDEN, INTER, K = 5, 4, 96, 72, 2


def problem(*, fallback: bool) -> str | None:
    """Return what is wrong; None if a small layer of each format is computed correctly.

    Without `fallback`, torch's reference computing instead of compiled kernels is wrong too.
    """
    if chosen() is Isa.TORCH and not fallback:
        return "only torch's slow reference computes here"
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    w13, w2 = drawn(EXPERTS, 2 * INTER, HIDDEN) / 8, drawn(EXPERTS, HIDDEN, INTER) / 8
    ids = torch.stack([torch.randperm(EXPERTS, generator=generator)[:K] for _ in range(TOKENS)])
    ids, weights = ids.int(), drawn(TOKENS, K).sigmoid()
    ids[0, 1] = -1
    x = drawn(TOKENS, HIDDEN)
    for form, tolerance in TOLERANCE.items():
        packed = pack(w13, w2, format=form)
        given = x if form is Format.FP32 else x.bfloat16()
        found = fused_experts(given, packed, ids, weights).float()
        wanted = forward(given, packed, ids, weights, Activation.SILU)
        error = float((found - wanted).abs().max() / wanted.abs().max())
        if not error <= tolerance:  # NaN too
            return f"{form} layers come out {error:.1e} off, more than {tolerance:.0e}"
    return None
