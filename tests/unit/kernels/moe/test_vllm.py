"""Inside vLLM our kernels say what vLLM's own say, on every kind of sparse model."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.unit.kernels.moe.vllm_tokens import make

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[4]
KINDS = {"deepseek_v3", "mixtral", "olmoe", "qwen3_moe"}
MODES = ("eager", "compiled")


@functools.cache
def said(models: Path, switch: str, dtype: str, mode: str) -> dict[str, Any]:
    """What tiny models say in a vLLM process of its own."""
    environment = os.environ | {
        "COLLEGIUM_MOE": switch,
        "HF_HUB_OFFLINE": "1",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_DISABLE_COMPILE_CACHE": "1",
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "VLLM_NO_USAGE_STATS": "1",
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.unit.kernels.moe.vllm_tokens", str(models), dtype, mode],
        env=environment, cwd=ROOT, capture_output=True, text=True, timeout=500, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random Mixtral-, OLMoE-, Qwen3-MoE- and DeepSeek-style models."""
    folder = tmp_path_factory.mktemp("sparse-models")
    make(folder)
    return folder


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-4), ("bfloat16", 0.02)])
def test_the_same_greedy_tokens_as_stock_vllm(models: Path, dtype: str, tolerance: float) -> None:
    """On every kind of model, token by token, with the log-probabilities of the stock path."""
    stock, ours = said(models, "off", dtype, "eager"), said(models, "force", dtype, "eager")
    assert set(stock) == set(ours) == (KINDS if dtype == "float32" else {"mixtral"})
    for kind in stock:
        assert stock[kind]["experts"] == "CPUUnquantizedExperts"
        assert ours[kind]["experts"] == "CollegiumExperts"
        # Not all of it a loop that anything would match.
        assert sum(len(set(tokens)) for tokens in stock[kind]["tokens"]) > 8
        for mine, theirs in zip(ours[kind]["logprobs"], stock[kind]["logprobs"], strict=True):
            np.testing.assert_allclose(mine, theirs, atol=tolerance)
        if dtype == "float32":  # in bfloat16 two tokens may tie
            assert ours[kind]["tokens"] == stock[kind]["tokens"]


def test_the_same_tokens_in_compiled_mode(models: Path) -> None:
    """vLLM traces and compiles round our op, which stays opaque to it."""
    eager, compiled = (said(models, "force", "float32", mode)["mixtral"] for mode in MODES)
    assert compiled["experts"] == "CollegiumExperts"
    assert compiled["tokens"] == eager["tokens"]
    for mine, theirs in zip(compiled["logprobs"], eager["logprobs"], strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-4)
