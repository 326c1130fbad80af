"""Inside vLLM our kernels say what vLLM's own say, on every kind of sparse model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

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


@pytest.mark.parametrize("name", NAMES)
def test_the_same_greedy_tokens_as_stock_vllm(models: Path, name: str) -> None:
    """On every kind of model, token by token, with the log-probabilities of the stock path.

    In float32 no tie is near: the best token is 0.0014 or more ahead of the second, and weights
    that are off by 3e-6, some twenty times float32's rounding, change no log-probability by more
    than 6e-5. BFLOAT
    """
    exact = name in KINDS
    stock, ours = (
        asked(models, NAMES, dtype="float32", switch=switch)[name] for switch in ("off", "force")
    )
    assert stock["experts"] == (STOCK.removeprefix("X86") if exact else STOCK)
    assert ours["experts"] == "CollegiumExperts"
    # Not all of it a loop that anything would match.
    assert sum(len(set(tokens)) for tokens in stock["tokens"]) > 8
    if exact:
        assert ours["tokens"] == stock["tokens"]
    for mine, theirs in zip(comparable(ours, stock), comparable(stock, ours), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-4 if exact else 0.02)


def comparable(said: dict[str, Any], other: dict[str, Any]) -> list[list[float]]:
    """The log-probabilities of prompts, and of answers as far as both have the same tokens before.

    Where the answers part, two tokens tie: the best of both have the same log-probability, too.
    """
    found: list[list[float]] = list(said["prompts"])
    for tokens, others, logprobs in zip(
        said["tokens"], other["tokens"], said["logprobs"], strict=True
    ):
        differ = [mine != theirs for mine, theirs in zip(tokens, others, strict=True)]
        found.append(logprobs[: [*differ, True].index(True) + 1])
    return found
