"""Inside vLLM our kernels say what vLLM's own say, on every kind of sparse model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.kernels.moe.gaps import FLOATS, gaps
from tests.kernels.moe.quantised import PROJECTIONS, change_experts
from tests.kernels.moe.vllm_tokens import asked, make

pytestmark = pytest.mark.slow
AMX = torch.cpu.get_capabilities().get("amx_bf16", False)
# With AMX vLLM's own attention of DeepSeek's kind refuses float32, whoever computes the experts.
KINDS = ("mixtral", "olmoe", "qwen3_moe") + (() if AMX else ("deepseek_v3",))
STOCK = "X86CPUUnquantizedExperts" if AMX else "CPUUnquantizedExperts"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random Mixtral-, OLMoE-, Qwen3-MoE- and DeepSeek-style models."""
    folder = tmp_path_factory.mktemp("sparse-models")
    make(folder)
    return folder


NAMES = (*KINDS, "apart:bfloat16")  # in bfloat16 the others take a minute


@pytest.mark.parametrize("name", KINDS)
def test_the_same_greedy_tokens_as_stock_vllm(models: Path, name: str) -> None:
    """On every kind of model, token by token, with the log-probabilities of the stock path.

    No tie is near: the best token is 0.0014 or more ahead of the second, and weights that are off
    by 3e-6, some twenty times float32's rounding, change no log-probability by more than 6e-5.
    """
    stock, ours = (
        asked(models, NAMES, dtype="float32", switch=switch)[name] for switch in ("off", "force")
    )
    assert stock["experts"] == "CPUUnquantizedExperts"
    assert ours["experts"] == "CollegiumExperts"
    # Not all of it a loop that anything would match.
    assert sum(len(set(tokens)) for tokens in stock["tokens"]) > 8
    assert ours["tokens"] == stock["tokens"]
    for part in ("prompts", "logprobs"):
        for mine, theirs in zip(ours[part], stock[part], strict=True):
            np.testing.assert_allclose(mine, theirs, atol=1e-4)


@pytest.mark.parametrize(
    ("switch", "experts"), [("off", STOCK), ("force", "CollegiumExperts")], ids=["stock", "ours"]
)
def test_bfloat16_is_as_near_to_float32_as_stock_vllm(
    models: Path, switch: str, experts: str
) -> None:
    """Within the same limits; over 20 seeds both are off by 0.007 to 0.010, and by at most 0.029.

    Weights of a projection that are a tenth larger make it 0.045 or more, from 0.10 on.
    """
    from transformers import AutoModelForCausalLM

    said = asked(models, NAMES, dtype="float32", switch=switch)["apart:bfloat16"]
    model = AutoModelForCausalLM.from_pretrained(models / "apart", dtype=torch.float32)
    assert said["experts"] == experts
    assert sum(len(set(tokens)) for tokens in said["tokens"]) > 8
    assert gaps(said, model).within(FLOATS)
    for projection in PROJECTIONS:
        change_experts(model, lambda weight: 1.1 * weight, names=(projection,))
        assert gaps(said, model).beyond(FLOATS)
        change_experts(model, lambda weight: weight / 1.1, names=(projection,))
