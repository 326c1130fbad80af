"""Who computes the experts in `collegium bench kernels`: our kernels and those of others.

Each contender packs the same layer in its own way and is then a function of a batch. What is not
installed, or can't compute a format, is left out by name, so that a table never hides it.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from collegium.kernels.moe import fused_experts, pack
from collegium.kernels.moe.formats import FP8_BLOCK, Codes, Format, quantised

Run = Callable[["Batch"], Tensor]
SGL_METHODS = {Format.BF16: 0, Format.INT8: 1, Format.FP8: 2, Format.INT4: 3}
GROUP = 128
GPTQ_ZERO = 0x77777777  # nibbles of 7, to which the packer adds 1


@dataclass(frozen=True)
class Shape:
    """A layer: its experts, hidden and inner size, and experts a token."""

    name: str
    experts: int
    hidden: int
    inter: int
    k: int


SHAPES = (
    Shape("goals", 64, 2048, 1024, 8),  # of issue 6; OLMoE's size as well
    Shape("quarter", 16, 2048, 1024, 8),  # of the goals' experts, for small machines
    Shape("qwen3-30b-a3b", 128, 2048, 768, 8),
    Shape("mixtral", 8, 4096, 14336, 2),
    Shape("embedded", 4, 576, 1536, 2),  # SmolLM2-135M's feed-forward, four times
)


@dataclass(frozen=True)
class Batch:
    """What all contenders get, bfloat16 and int32."""

    x: Tensor
    ids: Tensor
    weights: Tensor


def batch(shape: Shape, tokens: int, generator: torch.Generator) -> Batch:
    """Random tokens, each with different experts."""
    x = torch.randn(tokens, shape.hidden, generator=generator).bfloat16()
    ids = torch.rand(tokens, shape.experts, generator=generator).topk(shape.k).indices.int()
    return Batch(x, ids, torch.softmax(torch.randn(tokens, shape.k, generator=generator), -1))


def contenders(shape: Shape, form: Format, zentorch: Path | None) -> Iterator[tuple[str, Run]]:
    """Those that compute this format here, ours first."""
    generator = torch.Generator().manual_seed(0)
    rows = (shape.experts, 2 * shape.inter, shape.hidden)
    w13 = torch.randn(rows, generator=generator).bfloat16() / shape.hidden**0.5
    rows = (shape.experts, shape.hidden, shape.inter)
    w2 = torch.randn(rows, generator=generator).bfloat16() / shape.inter**0.5
    yield "ours", _ours(w13, w2, form)
    if _load_vllm():
        if form is Format.BF16:
            yield "vllm", _stock(w13, w2)
        if form in SGL_METHODS:
            yield "sglang", _sglang(w13, w2, form)
    if zentorch and _load_zentorch(zentorch) and form in (Format.BF16, Format.INT8):
        yield "zentorch", _zentorch(w13, w2, form)
    if form is Format.BF16:
        yield "torch grouped_mm", _grouped(w13, w2)


def _ours(w13: Tensor, w2: Tensor, form: Format) -> Run:
    packed = pack(w13, w2, format=form, group=GROUP)
    return lambda b: fused_experts(b.x, packed, b.ids, b.weights)


def _load_vllm() -> bool:
    """vLLM's operators without vLLM: importing it takes many seconds."""
    found = importlib.util.find_spec("vllm")
    if found is None or found.origin is None:
        return False
    library = Path(found.origin).parent / "_C.abi3.so"
    if not library.is_file():
        return False
    torch.ops.load_library(str(library))  # type: ignore[no-untyped-call]
    return True


def _stock(w13: Tensor, w2: Tensor) -> Run:
    """What vLLM 0.32 picks on a processor without AMX."""
    first, second = torch.empty_like(w13), torch.empty_like(w2)
    torch.ops._C.prepack_moe_weight(w13, first, "vec")
    torch.ops._C.prepack_moe_weight(w2, second, "vec")

    def run(b: Batch) -> Tensor:
        out = torch.empty_like(b.x)
        torch.ops._C.cpu_fused_moe(
            out, b.x, first, second, None, None, b.weights, b.ids, False, "silu", "vec"
        )
        return out

    return run


def _sglang(w13: Tensor, w2: Tensor, form: Format) -> Run:
    """SGLang's kernels in vLLM's wheel, which asks for AMX before it calls them."""
    (first, zero1, scale1), (second, zero2, scale2) = (_for_sglang(w, form) for w in (w13, w2))
    block = [FP8_BLOCK, FP8_BLOCK] if form is Format.FP8 else None

    def run(b: Batch) -> Tensor:
        out = torch.empty_like(b.x)
        torch.ops._C.fused_experts_cpu(
            out, b.x, first, second, b.weights, b.ids, SGL_METHODS[form],
            scale1, scale2, zero1, zero2, None, block, None, None, None, None, True,
        )  # fmt: skip
        return out

    return run


def _for_sglang(w: Tensor, form: Format) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Packed weights, zero points and scales."""
    if form is Format.BF16:
        return torch.ops._C.convert_weight_packed(w), None, None
    codes = quantised(w, form, GROUP)
    assert codes.scales is not None
    if form is Format.INT4:
        return _gptq(codes)
    scales = codes.scales[..., 0] if form is Format.INT8 else codes.scales[:, ::FP8_BLOCK]
    return torch.ops._C.convert_weight_packed(codes.codes), None, scales.contiguous()


def _gptq(codes: Codes) -> tuple[Tensor, Tensor, Tensor]:
    """GPTQ's int32 of eight nibbles along K, which the op's packer takes."""
    assert codes.scales is not None
    nibbles = (codes.codes.int() + 8).mT.unflatten(1, (-1, 8))  # type: ignore[no-untyped-call]
    words = sum(nibbles[:, :, i] << 4 * i for i in range(8))
    scales = codes.scales.mT.bfloat16().contiguous()
    size = (scales.shape[0], scales.shape[1], scales.shape[2] // 8)
    zeros = torch.full(size, GPTQ_ZERO, dtype=torch.int32)
    weight, zero, scale = torch.ops._C.convert_weight_packed_scale_zp(
        words.contiguous(), zeros, scales, 1
    )
    return weight, zero, scale


def _load_zentorch(folder: Path) -> bool:
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    if importlib.util.find_spec("zentorch") is None:
        return False
    importlib.import_module("zentorch")
    return True


def _zentorch(w13: Tensor, w2: Tensor, form: Format) -> Run:
    scales: tuple[Tensor, ...] = ()
    if form is Format.INT8:
        first, second = (quantised(w, form, GROUP) for w in (w13, w2))
        assert first.scales is not None
        assert second.scales is not None
        w13, w2 = first.codes, second.codes
        scales = first.scales[..., 0].contiguous(), second.scales[..., 0].contiguous()

    def run(b: Batch) -> Tensor:
        out = torch.empty_like(b.x)
        torch.ops.zentorch.zentorch_fused_moe(
            out, b.x, w13, w2, None, None, b.weights, b.ids, False, "silu",
            *scales,
        )  # fmt: skip
        return out

    return run


def _grouped(w13: Tensor, w2: Tensor) -> Run:
    """The steps of transformers' `grouped_mm` experts: sort, two grouped products, add up."""
    experts = len(w13)

    def run(b: Batch) -> Tensor:
        chosen = b.ids.flatten().long()
        order = chosen.argsort()
        tokens = order // b.ids.shape[1]
        ends = torch.bincount(chosen, minlength=experts).cumsum(0).int()
        gate, up = torch._grouped_mm(b.x[tokens], w13.mT, offs=ends).chunk(2, -1)
        inner = torch.nn.functional.silu(gate) * up
        found = torch._grouped_mm(inner, w2.mT, offs=ends)
        found = found * b.weights.flatten()[order][:, None].bfloat16()
        return torch.zeros_like(b.x).index_add_(0, tokens, found)

    return run
