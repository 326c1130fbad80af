"""The public operations: route tokens to experts and compute the experts' weighted sum."""

from __future__ import annotations

import torch
from torch import Tensor

from collegium.errors import KernelMisuse
from collegium.kernels.moe import reference
from collegium.kernels.moe.activations import Activation
from collegium.kernels.moe.isa import Isa, chosen
from collegium.kernels.moe.packed import PackedExperts
from collegium.kernels.moe.routing import Gating, gate

ACTIVATIONS = tuple(Activation)  # as `csrc/problem.h` counts them
INTEGERS = (torch.int32, torch.int64)


def route(logits: Tensor, gating: Gating, bias: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Choose each token's experts: ids int32 and weights float32, both (tokens, k), best first.

    `logits` (tokens, experts); `bias` (experts,) counts for the choice, not for the weights
    (DeepSeek-V3, arXiv 2412.19437). A dropped slot has id -1 and weight 0. Raises KernelMisuse.
    """
    if logits.dim() != 2 or (bias is not None and bias.shape != logits.shape[1:]):
        raise KernelMisuse("logits must be (tokens, experts), and a bias (experts,)")
    return gate(logits, gating, bias)


def fused_experts(
    x: Tensor,
    packed: PackedExperts,
    ids: Tensor,
    weights: Tensor,
    activation: Activation | str = Activation.SILU,
    *,
    shared: PackedExperts | None = None,
    shared_weights: Tensor | None = None,
    residual: Tensor | None = None,
    isa: Isa | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """Compute each token's weighted sum of expert outputs: (tokens, hidden), with `x`'s dtype.

    `x` (tokens, hidden) bfloat16 or float32; `ids` int32 or int64 and `weights` float32, both
    (tokens, k). Id -1 skips a slot and saves its work; other ids outside the experts raise
    KernelMisuse. Every expert of `shared` runs for every token, times `shared_weights` (tokens,)
    or 1. `residual` (tokens,) adds that much of `x` itself: the weight of identity experts. `isa`
    computes (default: `isa.chosen()`). On all but `torch` a row's bits depend on the row alone.
    `out`, of `x`'s size and type or `x` itself, is written to and returned where it is given.
    """
    activation = _checked(x, packed, ids, weights, activation, out)
    isa = chosen() if isa is None else isa
    if isa is Isa.TORCH:
        found = reference.forward(x, packed, ids, weights, activation, residual)
        if shared is not None:
            found += reference.forward(x, shared, *_everyone(x, shared, shared_weights), activation)
    else:
        x = x.contiguous()
        found = torch.empty_like(x, dtype=x.dtype if shared is None else torch.float32)
        if out is not None and shared is None and out.is_contiguous():
            found = out
        _run(found, x, packed, ids, weights, activation, isa, residual)
        if shared is not None:
            every = _everyone(x, shared, shared_weights)
            _run(found, x, shared, *every, activation, isa, None, add=True)
    found = found.to(x.dtype)
    return found if out is None or found is out else out.copy_(found)


def _run(
    out: Tensor,
    x: Tensor,
    packed: PackedExperts,
    ids: Tensor,
    weights: Tensor,
    activation: Activation,
    isa: Isa,
    residual: Tensor | None,
    *,
    add: bool = False,
) -> None:
    """Call the C++ kernels; raise KernelMisuse for what they refuse."""
    ids = ids.contiguous() if ids.dtype in INTEGERS else ids.int().contiguous()
    try:
        torch.ops.collegium_moe.forward(
            out, x, ids, weights.float().contiguous(),
            None if residual is None else residual.float().contiguous(),
            *packed.operands, ACTIVATIONS.index(activation), isa.number, add,
        )  # fmt: skip
    except RuntimeError as exc:
        raise KernelMisuse(str(exc).splitlines()[0]) from exc


def _everyone(x: Tensor, shared: PackedExperts, weights: Tensor | None) -> tuple[Tensor, Tensor]:
    size = (len(x), shared.experts)
    every = torch.arange(shared.experts, dtype=torch.int32).expand(size).contiguous()
    given = torch.ones(len(x)) if weights is None else weights.float().reshape(len(x))
    return every, given[:, None].expand(size).contiguous()


def _checked(
    x: Tensor,
    packed: PackedExperts,
    ids: Tensor,
    weights: Tensor,
    activation: Activation | str,
    out: Tensor | None,
) -> Activation:
    if x.dim() != 2 or x.shape[1] != packed.hidden:
        raise KernelMisuse(f"x must be (tokens, {packed.hidden}), not {tuple(x.shape)}")
    if x.dtype not in (torch.bfloat16, torch.float32):
        raise KernelMisuse(f"x must be bfloat16 or float32, not {x.dtype}")
    if ids.shape != weights.shape or ids.dim() != 2 or len(ids) != len(x):
        raise KernelMisuse(f"ids and weights must both be ({len(x)}, k)")
    if out is not None and (out.shape != x.shape or out.dtype != x.dtype):
        raise KernelMisuse(f"out must be {x.dtype} {tuple(x.shape)}, as x is")
    try:
        activation = Activation(activation)
    except ValueError as exc:
        raise KernelMisuse(f"no activation '{activation}': {', '.join(Activation)}") from exc
    if activation is Activation.SWIGLUOAI and not packed.gated:
        raise KernelMisuse("swigluoai has no ungated form")
    return activation
