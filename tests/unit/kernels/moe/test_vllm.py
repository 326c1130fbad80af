"""Inside vLLM our kernels say what vLLM's own say, on every kind of sparse model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.unit.kernels.moe.vllm_tokens import asked, make

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


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-4), ("bfloat16", 0.02)])
def test_the_same_greedy_tokens_as_stock_vllm(models: Path, dtype: str, tolerance: float) -> None:
    """On every kind of model, token by token, with the log-probabilities of the stock path."""
    kinds = KINDS if dtype == "float32" else ("mixtral",)  # the others take a minute
    stock, ours = (asked(models, kinds, dtype=dtype, switch=switch) for switch in ("off", "force"))
    for kind in kinds:
        assert stock[kind]["experts"] == (
            STOCK if dtype == "bfloat16" else STOCK.removeprefix("X86")
        )
        assert ours[kind]["experts"] == "CollegiumExperts"
        # Not all of it a loop that anything would match.
        assert sum(len(set(tokens)) for tokens in stock[kind]["tokens"]) > 8
        for mine, theirs in zip(ours[kind]["logprobs"], stock[kind]["logprobs"], strict=True):
            np.testing.assert_allclose(mine, theirs, atol=tolerance)
        if dtype == "float32":  # in bfloat16 two tokens may tie
            assert ours[kind]["tokens"] == stock[kind]["tokens"]


def test_the_same_tokens_in_compiled_mode(models: Path) -> None:
    """vLLM traces and compiles round our op, which stays opaque to it."""
    eager = asked(models, KINDS, dtype="float32")["mixtral"]
    compiled = asked(models, ("mixtral",), dtype="float32", mode="compiled")["mixtral"]
    assert compiled["experts"] == "CollegiumExperts"
    assert compiled["tokens"] == eager["tokens"]
    for mine, theirs in zip(compiled["logprobs"], eager["logprobs"], strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-4)
