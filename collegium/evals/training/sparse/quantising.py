"""Quantise a sparse model's experts to int8 or int4, leaving everything else unchanged.

The folder is a compressed-tensors checkpoint (llm-compressor's format): int8 a row with activations
int8 a token (W8A8), or int4 in groups, symmetric. A scale is of its largest weight: those of the
least squared error gave no better answers. Rounding is to the nearest; no data is needed.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from collegium.errors import SetupError
from collegium.experts.sparse.composing import KEPT_FILES
from collegium.kernels.moe.formats import Format, quantised, split

if TYPE_CHECKING:
    from torch import Tensor

    from collegium.evals.training.sparse.judging import Judge, Quality

EXPERT = re.compile(r"\.block_sparse_moe\.experts\.\d+\.w[123]\.weight$")
GROUPS = (128, 64, 32)
WEIGHTS = {"type": "int", "symmetric": True, "dynamic": False}
INT8 = {
    "format": "int-quantized",
    "weights": WEIGHTS | {"num_bits": 8, "strategy": "channel"},
    "input_activations": WEIGHTS | {"num_bits": 8, "strategy": "token", "dynamic": True},
}
INT4 = {"format": "pack-quantized", "weights": WEIGHTS | {"num_bits": 4, "strategy": "group"}}
NIBBLES = 8  # in an int32, the first in the lowest bits


def quantise(source: Path, folder: Path, form: Format, groups: Sequence[int] = GROUPS) -> None:
    """Write `source`, a Mixtral, with its experts in int8 or int4 into `folder`.

    int4's scales are of the first of `groups` that rows can be made of.
    """
    from safetensors.torch import load_file, save_file

    tensors = load_file(source / "model.safetensors")
    experts = [n for n, t in tensors.items() if EXPERT.search(n) and t.is_floating_point()]
    if not experts:
        raise SetupError(f"{source} has no experts by Mixtral's names in floats")
    group = _group({tensors[n].shape[1] for n in experts}, groups) if form is Format.INT4 else 0
    for name in experts:
        stem, weight = name.removesuffix(".weight"), tensors.pop(name)
        for part, tensor in _codes(weight, form, group).items():
            tensors[f"{stem}.{part}"] = tensor
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((source / "config.json").read_text())
    config["quantization_config"] = description(form, group, _kept(tensors))
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    for name in KEPT_FILES:
        shutil.copy(source / name, folder)


def _group(widths: set[int], groups: Sequence[int]) -> int:
    """The first group that rows of all widths are made of."""
    for group in groups:
        if all(width % group == 0 for width in widths):
            return group
    raise SetupError(f"int4 needs rows in groups of {groups[-1]}; these have {sorted(widths)}")


def _codes(weight: Tensor, form: Format, group: int) -> dict[str, Tensor]:
    """One matrix's tensors, by compressed-tensors' names."""
    import torch

    found = quantised(weight[None], form, group)
    assert found.scales is not None
    codes, scales = found.codes[0], found.scales[0]
    if form is Format.INT8:
        return {"weight": codes, "weight_scale": scales}
    nibbles = split(codes.int() + 8, 1, -1, NIBBLES)
    packed = sum(nibbles[..., place] << 4 * place for place in range(NIBBLES))
    return {
        "weight_packed": cast("Tensor", packed).contiguous(),
        "weight_scale": scales.bfloat16(),
        "weight_shape": torch.tensor(weight.shape),
    }


def _kept(tensors: Mapping[str, Tensor]) -> list[str]:
    """Linear layers that stay as they are."""
    matrices = (n for n, t in tensors.items() if n.endswith(".weight") and t.dim() == 2)
    return sorted(
        name.removesuffix(".weight")
        for name in matrices
        if not EXPERT.search(name) and "embed" not in name
    )


def description(form: Format, group: int, kept: list[str]) -> dict[str, Any]:
    """`quantization_config`, by which engines know how to read the codes."""
    scheme = dict(INT8)
    if form is Format.INT4:
        scheme = INT4 | {"weights": INT4["weights"] | {"group_size": group}}  # type: ignore[operator]
    return {
        "quant_method": "compressed-tensors",
        "quantization_status": "compressed",
        "format": scheme["format"],
        "config_groups": {"group_0": {"targets": ["Linear"], **scheme}},
        "ignore": kept,
    }


def quantise_to(
    form: Format, source: Path, out: Path, judge: Judge, groups: Sequence[int] = GROUPS
) -> dict[str, Quality]:
    """Write the quantised model into `out`; return its quality before and after."""
    from collegium.evals.training.sparse.judging import load
    from collegium.evals.training.sparse.kernel_experts import use_kernels

    out.mkdir(parents=True, exist_ok=True)
    quantise(source, out, form, groups)
    model, tokenizer = load(source)
    before = judge.quality(model, tokenizer, source)
    use_kernels(model, out)
    return {"before": before, "after": judge.quality(model, tokenizer, out)}
