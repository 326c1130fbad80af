"""Quantised experts: a checkpoint that others read, judged by the kernels that serve it."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from collegium.errors import SetupError
from collegium.evals.training.sparse.kernel_experts import use_kernels
from collegium.evals.training.sparse.quantising import quantise
from collegium.experts.sparse.composing import KEPT_FILES
from collegium.kernels.moe.formats import Format, quantised
from tests.kernels.moe.far_from_ties import keep_apart
from tests.kernels.moe.quantised import PROJECTIONS, change_experts

TOKENS = torch.tensor([[3, 9, 27, 11, 40, 2]])
FIRST = "model.layers.0.block_sparse_moe.experts.0.w1"
# The kernels round activations to int8. Over 20 seeds that is 0.003 to 0.005 of the logits' norm,
# and 0.017 or more if the scales of a projection are a tenth too large (int4's group: 0.027).
ROUNDING = 0.008


@pytest.fixture
def model(tmp_path: Path) -> Any:
    """A small Mixtral, saved in `whole`. Rounding swaps no experts."""
    from transformers import MixtralConfig, MixtralForCausalLM

    torch.manual_seed(3)
    config = MixtralConfig(
        vocab_size=64, hidden_size=128, intermediate_size=192, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, num_local_experts=4, num_experts_per_tok=2,
    )  # fmt: skip
    made: Any = MixtralForCausalLM(config)  # type: ignore[no-untyped-call]
    keep_apart(made, experts=4)
    made.save_pretrained(tmp_path / "whole")
    for name in KEPT_FILES:
        (tmp_path / "whole" / name).write_text("{}")
    return made.eval()


def said(model: Any) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = model(TOKENS).logits
    return found


def meaning(model: Any, form: str, *, group: int = 64, off: str | None = None) -> Any:
    """The floats that a model's codes mean, with scales a tenth too large in a projection `off`."""
    meant = copy.deepcopy(model)
    change_experts(meant, lambda rows: quantised(rows[None], Format(form), group).values()[0])
    if off is not None:
        change_experts(meant, lambda rows: 1.1 * rows, names=(off,))
    return meant


def distance(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """Relative to the second's norm."""
    return float((found - wanted).norm() / wanted.norm())


@pytest.mark.filterwarnings("ignore")  # of transformers while saving
@pytest.mark.parametrize(("form", "most", "smaller"), [("int8", 0.01, 0.6), ("int4", 0.08, 0.4)])
def test_the_kernels_say_what_the_codes_mean(
    model: Any, tmp_path: Path, form: str, most: float, smaller: float
) -> None:
    """From the written file alone, which is smaller by as much as its experts are.

    That is nearly what the floats said: over 20 seeds within 0.006 in int8 and 0.056 in int4. Codes
    that mean something else would be seen.
    """
    (tmp_path / form).mkdir()
    quantise(tmp_path / "whole", tmp_path / form, Format(form))
    kernels = copy.deepcopy(model)
    use_kernels(kernels, tmp_path / form)
    found = said(kernels)

    assert 0 < distance(found, said(meaning(model, form))) < ROUNDING
    assert distance(found, said(model)) < most
    for projection in PROJECTIONS:
        assert distance(found, said(meaning(model, form, off=projection))) > 1.5 * ROUNDING
    if form == "int4":
        assert distance(found, said(meaning(model, form, group=32))) > 2 * ROUNDING
    sizes = [(tmp_path / n / "model.safetensors").stat().st_size for n in (form, "whole")]
    assert sizes[0] < smaller * sizes[1]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("form", ["int8", "int4"])
def test_compressed_tensors_reads_the_codes(model: Any, tmp_path: Path, form: str) -> None:
    """The library that defines the format decompresses them to what they were rounded from."""
    from compressed_tensors.compressors import BaseCompressor
    from compressed_tensors.quantization import QuantizationConfig

    (tmp_path / form).mkdir()
    quantise(tmp_path / "whole", tmp_path / form, Format(form))
    config = json.loads((tmp_path / form / "config.json").read_text())["quantization_config"]
    scheme = QuantizationConfig.model_validate(config).config_groups["group_0"]
    tensors = load_file(tmp_path / form / "model.safetensors")
    parts = {n.removeprefix(f"{FIRST}."): t for n, t in tensors.items() if n.startswith(FIRST)}
    compressor = BaseCompressor.get_value_from_registry(config["format"])
    weight = compressor.decompress(parts, scheme)["weight"]
    original = load_file(tmp_path / "whole" / "model.safetensors")[f"{FIRST}.weight"]
    wanted = quantised(original[None], Format(form), 64).values()[0]

    torch.testing.assert_close(weight.float(), wanted, atol=1e-3, rtol=0.01)
    assert "lm_head" in config["ignore"]
    assert "model.layers.1.block_sparse_moe.gate" in config["ignore"]


@pytest.mark.filterwarnings("ignore")
def test_what_is_quantised_or_no_mixtral_is_told(model: Any, tmp_path: Path) -> None:
    """Instead of a folder that no engine can read."""
    (tmp_path / "int8").mkdir()
    quantise(tmp_path / "whole", tmp_path / "int8", Format.INT8)
    codes = load_file(tmp_path / "int8" / "model.safetensors")
    assert codes[f"{FIRST}.weight"].dtype is torch.int8
    with pytest.raises(SetupError, match="in floats"):
        quantise(tmp_path / "int8", tmp_path / "again", Format.INT8)


@pytest.mark.filterwarnings("ignore")
def test_groups_must_fit_the_rows(model: Any, tmp_path: Path) -> None:
    """Rows of 192 are no multiple of 128: the widest that fits is taken, or the one asked for."""
    quantise(tmp_path / "whole", tmp_path, Format.INT4)
    config = json.loads((tmp_path / "config.json").read_text())["quantization_config"]
    assert config["config_groups"]["group_0"]["weights"]["group_size"] == 64
    with pytest.raises(SetupError, match="groups of 128"):
        quantise(tmp_path / "whole", tmp_path, Format.INT4, (128,))
