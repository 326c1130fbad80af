"""The kernels compared by `collegium bench kernels`: ours and others.

Each contender packs the same layer in its own way and is then a function of a batch. What is not
installed, or can't compute a format, is left out by name, so that a table never hides it.
"""

from __future__ import annotations

import importlib.util
import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from collegium.evals.bench.kernels.layers import GROUP, Batch, Shape, layer
from collegium.experts.memory import available_gib
from collegium.kernels.moe import fused_experts, pack
from collegium.kernels.moe.formats import FP8_BLOCK, Codes, Format, quantised

log = logging.getLogger(__name__)

Run = Callable[[Batch], Tensor]
OURS, HALF = "ours", "ours, half the slots"
SGL_METHODS = {Format.BF16: 0, Format.INT8: 1, Format.FP8: 2, Format.INT4: 3}
ROOM = 2.5  # times the weights in bfloat16: what packing needs while it goes on
GPTQ_ZERO = 0x77777777  # nibbles of 7, to which the packer adds 1


@dataclass(frozen=True)
class Others:
    """The folder of what is not in our environment, and who is left out."""

    zentorch: Path | None = None
    without: tuple[str, ...] = ()


def contenders(shape: Shape, form: Format, others: Others) -> Iterator[tuple[str, Run]]:
    """Those that compute this format here, ours first, but for those that are left out."""
    w13, w2 = layer(shape)
    packed = pack(w13, w2, format=form, group=GROUP)
    yield OURS, lambda b: fused_experts(b.x, packed, b.ids, b.weights)
    yield HALF, lambda b: fused_experts(b.x, packed, b.half, b.weights)
    for name, make in _others(w13, w2, form, others):
        if name not in others.without and _has_room(name, w13.nbytes + w2.nbytes):
            yield name, make()


def _has_room(name: str, weights: int) -> bool:
    """Whether its copy of the weights fits into memory, too; a warning where it does not."""
    free, wanted = available_gib(), ROOM * weights / 2**30
    if free is None or free >= wanted:
        return True
    log.warning("%s is left out: it needs %.1f GiB of memory, %.1f are free", name, wanted, free)
    return False


def _others(
    w13: Tensor, w2: Tensor, form: Format, others: Others
) -> Iterator[tuple[str, Callable[[], Run]]]:
    if _load_vllm():
        if form is Format.BF16:
            amx = torch.cpu._init_amx()  # asks the system for its registers: else SIGILL
            yield "vllm", partial(_stock, w13, w2, "amx" if amx else "vec")
            if amx:
                yield "vllm without AMX", partial(_stock, w13, w2, "vec")
        if form in SGL_METHODS and (form is not Format.INT4 or _in_groups(w13, w2)):
            yield "sglang", partial(_sglang, w13, w2, form)
    if others.zentorch and form in (Format.BF16, Format.INT8) and _load_zentorch(others.zentorch):
        yield "zentorch", partial(_zentorch, w13, w2, form)
    if form is Format.BF16:
        yield "torch grouped_mm", partial(grouped_mm, w13, w2)


def _load_vllm() -> bool:
    """vLLM's operators without vLLM: importing it takes many seconds.

    They are compiled for AVX-512: elsewhere loading them ends the process.
    """
    if not torch.cpu._is_avx512_supported():
        return False
    found = importlib.util.find_spec("vllm")
    if found is None or found.origin is None:
        return False
    library = Path(found.origin).parent / "_C.abi3.so"
    if not library.is_file():
        return False
    torch.ops.load_library(str(library))  # type: ignore[no-untyped-call]
    return True


def _stock(w13: Tensor, w2: Tensor, isa: str) -> Run:
    """vLLM 0.32's own operator: it picks `amx` where the processor has it, else `vec`."""
    first, second = torch.empty_like(w13), torch.empty_like(w2)
    torch.ops._C.prepack_moe_weight(w13, first, isa)
    torch.ops._C.prepack_moe_weight(w2, second, isa)

    def run(b: Batch) -> Tensor:
        out = torch.empty_like(b.x)
        torch.ops._C.cpu_fused_moe(
            out, b.x, first, second, None, None, b.weights, b.ids, False, "silu", isa
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


def _in_groups(*weights: Tensor) -> bool:
    """Whether groups of scales fill the rows: SGLang's packer knows no shorter last group."""
    return all(w.shape[-1] % GROUP == 0 for w in weights)


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


def grouped_mm(w13: Tensor, w2: Tensor) -> Run:
    """The steps of transformers' `grouped_mm` experts: sort, two grouped products, add up."""
    experts = len(w13)

    def run(b: Batch) -> Tensor:
        chosen = b.ids.flatten().long()
        order = chosen.argsort()
        tokens = order // b.ids.shape[1]
        every = torch.arange(experts, device=b.ids.device)
        ends = torch.searchsorted(chosen[order], every, right=True).int()
        gate, up = torch._grouped_mm(b.x[tokens], w13.mT, offs=ends).chunk(2, -1)
        inner = torch.nn.functional.silu(gate) * up
        found = torch._grouped_mm(inner, w2.mT, offs=ends)
        found = found * b.weights.flatten()[order][:, None].bfloat16()
        return torch.zeros_like(b.x).index_add_(0, tokens, found)

    return run
