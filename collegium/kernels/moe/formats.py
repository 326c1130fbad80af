"""Storage formats of weights: quantisation of floats, and the values of codes.

Codes are `(experts, rows, K)`, one number an element; scales multiply groups of K of a row:
`(experts, rows, K / group)`. Every format keeps the scale's meaning of the checkpoints that use it:
int8 has one a row (W8A8), int4 one a group (GPTQ, symmetric), fp8 one a block of 128 x 128
(DeepSeek-V3, arXiv 2412.19437) and mxfp4 a power of two every 32 (OCP MX 1.0).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor
from torch.nn.functional import pad

from collegium.errors import KernelMisuse

FP8_BLOCK, FP8_LARGEST = 128, 448.0
MX_GROUP = 32
MX_BIAS, MX_REACH = 127, 120  # exponents that bfloat16 holds with room for a code's own
FP4_VALUES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)


class Format(StrEnum):
    """The format of packed weights; activations are given in brackets."""

    FP32 = "fp32"  # (float32)
    BF16 = "bf16"  # (bfloat16)
    INT8 = "int8"  # (int8, a scale a token)
    INT4 = "int4"  # (int8, a scale a token)
    FP8 = "fp8"  # (bfloat16)
    MXFP4 = "mxfp4"  # (bfloat16)

    @property
    def integer(self) -> bool:
        """Whether activations are quantised to int8 as well."""
        return self in (Format.INT8, Format.INT4)


@dataclass(frozen=True)
class Codes:
    """Quantised rows: `codes` (experts, rows, K), `scales` (experts, rows, K / `group`) or none."""

    format: Format
    codes: Tensor
    scales: Tensor | None
    group: int

    def values(self) -> Tensor:
        """The values of the codes, float32 (experts, rows, K)."""
        if self.format is Format.MXFP4:
            table = torch.tensor([*FP4_VALUES, *(-v for v in FP4_VALUES)])
            assert self.scales is not None
            exponents = self.scales.int() - MX_BIAS
            steps = torch.ldexp(torch.ones(exponents.shape), exponents)
            return table[self.codes.long()] * self._spread(steps)
        numbers = self.codes.float()
        if self.scales is None:
            return numbers
        return numbers * self._spread(self.scales)

    def _spread(self, scales: Tensor) -> Tensor:
        return scales.repeat_interleave(self.group, -1)[..., : self.codes.shape[-1]]


def quantised(weights: Tensor, form: Format, group: int) -> Codes:
    """Round float `weights` (experts, rows, K) to a format; `group` counts for int4 only."""
    if form in (Format.FP32, Format.BF16):
        values = weights.float() if form is Format.FP32 else weights.bfloat16()
        return Codes(form, values, None, weights.shape[-1])
    # An expert at a time: Mixtral's w13 alone takes five float32 copies of 3.8 GB at once.
    parts = [_quantised(expert.float(), form, group) for expert in weights.split(1)]  # type: ignore[no-untyped-call]
    scales = [part.scales for part in parts if part.scales is not None]
    return Codes(form, torch.cat([part.codes for part in parts]), torch.cat(scales), parts[0].group)


def _quantised(weights: Tensor, form: Format, group: int) -> Codes:
    if form is Format.INT8:
        return _integers(weights, form, weights.shape[-1], 127)
    if form is Format.INT4:
        return _integers(weights, form, group, 7)
    return _fp8(weights) if form is Format.FP8 else _mxfp4(weights)


def _integers(weights: Tensor, form: Format, group: int, largest: int) -> Codes:
    groups = split(padded(weights, group), -1, -1, group)
    scales = groups.abs().amax(-1) / largest
    codes = (groups / scales.clamp_min(1e-30)[..., None]).round().clamp(-largest, largest)
    return Codes(form, codes.flatten(-2)[..., : weights.shape[-1]].to(torch.int8), scales, group)


def _fp8(weights: Tensor) -> Codes:
    rows, wide = weights.shape[-2:]
    full = pad(weights, (0, -wide % FP8_BLOCK, 0, -rows % FP8_BLOCK))
    blocks = split(split(full, -1, -1, FP8_BLOCK), -3, -1, FP8_BLOCK)
    scales = (blocks.abs().amax((-1, -3)) / FP8_LARGEST).clamp_min(1e-30)
    per_row = scales.repeat_interleave(FP8_BLOCK, -2)[..., :rows, :]
    codes = weights / per_row.repeat_interleave(FP8_BLOCK, -1)[..., :wide]
    codes = codes.clamp(-FP8_LARGEST, FP8_LARGEST).to(torch.float8_e4m3fn)
    return Codes(Format.FP8, codes, per_row, FP8_BLOCK)


def _mxfp4(weights: Tensor) -> Codes:
    groups = split(padded(weights, MX_GROUP), -1, -1, MX_GROUP)
    largest = groups.abs().amax(-1).clamp_min(2.0**-MX_REACH)
    exponents = (torch.log2(largest).floor() - 2).clamp(-MX_REACH, MX_REACH)
    scaled = groups / torch.exp2(exponents)[..., None]
    # Halfway between two values rounds down, but for ties at 6 and above, which stay 6.
    middles = torch.tensor([0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0])
    codes = torch.bucketize(scaled.abs(), middles) + 8 * (scaled < 0)
    codes = codes.flatten(-2)[..., : weights.shape[-1]].to(torch.uint8)
    return Codes(Format.MXFP4, codes, (exponents + MX_BIAS).to(torch.uint8), MX_GROUP)


def given(weights: Tensor, scales: Tensor, form: Format) -> Codes:
    """Take a checkpoint's quantised weights and scales, in the shapes that they are stored in.

    int8: int8 (E, N, K), scales (E, N) or (E, N, 1). int4 and mxfp4: uint8 (E, N, K / 2), the even
    k in the low nibble (int4 with 8 added), scales (E, N, K / group); mxfp4's are uint8 exponents.
    fp8: float8_e4m3fn (E, N, K), scales a tensor (E,), a row (E, N, 1) or a block of 128 x 128.
    """
    expected = {
        Format.INT8: torch.int8, Format.FP8: torch.float8_e4m3fn,
        Format.INT4: torch.uint8, Format.MXFP4: torch.uint8,
    }  # fmt: skip
    if weights.dtype is not expected.get(form):
        raise KernelMisuse(f"{form} with scales needs {expected.get(form)}, not {weights.dtype}")
    if form in (Format.INT4, Format.MXFP4):
        weights = torch.stack((weights & 15, weights >> 4), -1).flatten(-2)
        if form is Format.INT4:
            weights = weights.to(torch.int8) - 8
    experts, rows, wide = weights.shape
    if form is Format.FP8:
        scales = _fp8_scales(scales.float(), experts, rows, wide)
    elif form is Format.MXFP4:
        if int(scales.max()) > MX_BIAS + MX_REACH:
            raise KernelMisuse("an mxfp4 scale is above 2^120: not representable in bfloat16")
        scales = scales.clamp_min(MX_BIAS - MX_REACH)
    else:
        scales = scales.float().reshape(experts, rows, -1)
    groups = scales.shape[-1]
    group = FP8_BLOCK if form is Format.FP8 else wide // groups
    if scales.shape[:2] != (experts, rows) or group * groups < wide:
        raise KernelMisuse(f"scales {tuple(scales.shape)} don't fit weights {tuple(weights.shape)}")
    if form is Format.MXFP4 and group != MX_GROUP:
        raise KernelMisuse(f"mxfp4 has a scale every {MX_GROUP} elements, not every {group}")
    return Codes(form, weights, scales, group)


def _fp8_scales(scales: Tensor, experts: int, rows: int, wide: int) -> Tensor:
    groups = -(-wide // FP8_BLOCK)
    if scales.numel() == experts:
        return scales.reshape(experts, 1, 1).expand(experts, rows, groups)
    if scales.numel() == experts * rows:
        return scales.reshape(experts, rows, 1).expand(experts, rows, groups)
    return scales.repeat_interleave(FP8_BLOCK, 1)[:, :rows]


def split(tensor: Tensor, dimension: int, *sizes: int) -> Tensor:
    """`Tensor.unflatten`, which has no types."""
    parts: Tensor = torch.unflatten(tensor, dimension, sizes)
    return parts


def padded(tensor: Tensor, multiple: int) -> Tensor:
    """Zeros at the end of the last dimension, up to a multiple."""
    return pad(tensor, (0, -tensor.shape[-1] % multiple))
