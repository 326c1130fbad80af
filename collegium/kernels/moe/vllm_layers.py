"""The torch ops through which vLLM's layers call our kernels and policies, opaque to tracing.

An op takes tensors and numbers, so each layer's packed weights and each router's policy have a
number here. What happens inside is not traced: statistics are counted there. They are defined
without `torch.library.custom_op`, whose wrappers made a call on a tiny layer take 89 us instead of
45 (medians, interleaved); the pool's mixture makes 30 calls for a token.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from vllm.config import get_current_vllm_config
from vllm.forward_context import get_forward_context, is_forward_context_available
from vllm.model_executor.models.utils import extract_layer_index

from collegium.kernels.moe.ops import fused_experts
from collegium.kernels.moe.packed import PackedExperts
from collegium.kernels.moe.policies.base import Policy, Routed
from collegium.kernels.moe.policies.declared import policy_of
from collegium.kernels.moe.recording import Recorder
from collegium.kernels.moe.routing import Gating
from collegium.kernels.moe.statistics import LayerStatistics
from collegium.kernels.token_policy import Rules, in_engine

COPY = -2
"""The id of a slot that adds its weight of the token itself; between the two ops only."""


@dataclass
class Layer:
    """One layer's experts, and its statistics if enabled."""

    packed: PackedExperts
    statistics: LayerStatistics | None = None


@dataclass
class Seat:
    """One router's declared rules, and its policy once the model's bias is loaded."""

    rules: Rules
    gating: Gating
    experts: int
    policy: Policy | None = None


# A process has one model, and torch's ops are global anyway.
_LAYERS: list[Layer] = []
_SEATS: list[Seat] = []
_OPS: Any = torch.library.Library("collegium", "FRAGMENT")  # type: ignore[no-untyped-call]
_OPS.define(
    "moe_layer(Tensor(a!) out, Tensor x, Tensor ids, Tensor weights, int layer, str activation)"
    " -> ()"
)
_OPS.define("moe_route(Tensor logits, Tensor? bias, int seat, int k) -> (Tensor, Tensor)")


def add_layer(packed: PackedExperts, statistics: LayerStatistics | None = None) -> int:
    """Remember a layer and return its number."""
    _LAYERS.append(Layer(packed, statistics))
    return len(_LAYERS) - 1


def add_policy(rules: Rules, gating: Gating, experts: int) -> int:
    """Store a router's rules and return their number; raise KernelMisuse if they don't fit."""
    policy_of(rules, gating, experts)
    _SEATS.append(Seat(rules, gating, experts))
    return len(_SEATS) - 1


def moe_layer(
    out: Tensor, x: Tensor, ids: Tensor, weights: Tensor, layer: int, activation: str
) -> None:
    """Write the experts' weighted sum of x (tokens, hidden) to `out`, of the same shape."""
    known = _LAYERS[layer]
    ids, weights, residual = without_copies(ids, weights)
    if known.statistics is not None and serving():
        known.statistics.observe(ids, weights)
    fused_experts(x, known.packed, ids, weights, activation, residual=residual, out=out)


def moe_route(logits: Tensor, bias: Tensor | None, seat: int, k: int) -> tuple[Tensor, Tensor]:
    """Weights float32 and ids int32, both (tokens, k), by a declared policy."""
    known = _SEATS[seat]
    if known.policy is None:
        known.policy = policy_of(known.rules, known.gating, known.experts, bias, logits.device)
    return with_copies(known.policy.route(logits.float()))


def _shapes(logits: Tensor, bias: Tensor | None, seat: int, k: int) -> tuple[Tensor, Tensor]:
    size = (logits.shape[0], k)
    return logits.new_empty(size, dtype=torch.float32), logits.new_empty(size, dtype=torch.int32)


_OPS.impl("moe_layer", moe_layer, "CPU")
_OPS.impl("moe_layer", lambda *_: None, "Meta")
_OPS.impl("moe_route", moe_route, "CPU")
_OPS.impl("moe_route", _shapes, "Meta")


def serving() -> bool:
    """Whether tokens are being served, as opposed to vLLM's memory profiling and warm-up."""
    return is_forward_context_available() and get_forward_context().attn_metadata is not None


def counted(name: str, experts: int, device: torch.device | str = "cpu") -> LayerStatistics | None:
    """Return a layer's statistics, if enabled."""
    wanted = in_engine(get_current_vllm_config().additional_config)
    if wanted.statistics_file is None:
        return None
    recorder = recorder_of(wanted.statistics_file)
    return recorder.layer(extract_layer_index(name), experts, device)


@functools.cache
def recorder_of(path: Path) -> Recorder:
    """Return the recorder of a file: a process may load its model more than once."""
    return Recorder(path)


def with_copies(routed: Routed) -> tuple[Tensor, Tensor]:
    """Weights and ids in which the first skipped slot of a row carries its residual."""
    if routed.residual is None:
        return routed.weights.contiguous(), routed.ids.contiguous()
    first = (routed.ids < 0).int().argmax(-1, keepdim=True)
    carries = (routed.residual > 0)[:, None]
    ids, weights = routed.ids.clone(), routed.weights.clone()
    ids.scatter_(1, first, torch.where(carries, COPY, ids.gather(1, first)).int())
    carried = torch.where(carries, routed.residual[:, None], weights.gather(1, first))
    return weights.scatter_(1, first, carried), ids


def without_copies(ids: Tensor, weights: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
    """Ids, weights and residual as `fused_experts` takes them.

    On a GPU without asking whether there are copies, which would wait for it.
    """
    if not _SEATS:  # a policy's router alone makes copies
        return ids, weights, None
    copied = ids == COPY
    if not (ids.is_cuda or bool(copied.any())):
        return ids, weights, None
    residual = torch.where(copied, weights, 0.0).sum(-1)
    return torch.where(copied, -1, ids), torch.where(copied, 0.0, weights), residual
