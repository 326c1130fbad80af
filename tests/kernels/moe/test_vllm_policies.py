"""Inside vLLM declared policies route as the library says, and what they did is counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from collegium.kernels.moe.policies.base import Routed
from collegium.kernels.moe.policies.declared import policy_of
from collegium.kernels.moe.routing import Gating
from collegium.kernels.moe.statistics import LayerStatistics
from collegium.kernels.token_policy import TokenPolicy
from tests.kernels.moe.vllm_tokens import PROMPTS, asked, make

pytestmark = pytest.mark.slow
EXPERTS, K = 4, 2
POLICIES: dict[str, dict[str, Any]] = {
    "the model's own": {},
    "top-p": {"top_p": 0.55},
    "steering": {"steering": {"2": 0.3}},
    "subset": {"kept": [0, 1, 3]},
    "substitutes": {"kept": [0, 1], "substitutes": {"2": 1}},
    "null experts": {"null_experts": {"logit": 0.1}},
    "copying experts": {"null_experts": {"logit": 0.1, "kind": "copy"}, "top_p": 0.9},
    "one layer": {"layers": {"1": {"kept": [1, 2]}}},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random Mixtral-style and other models."""
    folder = tmp_path_factory.mktemp("sparse-models")
    make(folder)
    return folder


def named(folder: Path, policy: dict[str, Any]) -> str:
    """The model under a policy, as `vllm_tokens` takes it; all are counted."""
    declared: dict[str, Any] = {"token_policy": policy}
    if policy.get("statistics"):
        declared["statistics_file"] = str(folder / "tokens.json")
    return "mixtral" + json.dumps(declared)


def everything(folder: Path) -> dict[str, Any]:
    """What the model says under each policy, out of one process."""
    names = [named(folder, policy) for policy in POLICIES.values()]
    return asked(folder, (*names, named(folder, {"statistics": True})), dtype="float32")


class Reference:
    """The model in transformers, its tokens routed by the library's policies."""

    def __init__(self, folder: Path, declared: TokenPolicy) -> None:
        from transformers import AutoModelForCausalLM

        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        self.statistics = [LayerStatistics(EXPERTS) for _ in self.model.model.layers]
        for number, layer in enumerate(self.model.model.layers):
            policy = policy_of(declared.of(number), Gating(K, renormalise=True), EXPERTS)
            layer.mlp.forward = lambda x, mlp=layer.mlp, policy=policy, number=number: self._block(
                mlp, policy.route(x.flatten(0, 1) @ mlp.gate.weight.T), x, number
            )

    def _block(self, mlp: Any, routed: Routed, x: Tensor, number: int) -> Tensor:
        self.statistics[number].observe(routed.ids, routed.weights)
        flat = x.flatten(0, 1)
        ids = routed.ids.clamp(min=0).long()  # a skipped slot has no weight
        out: Tensor = mlp.experts(flat, ids, routed.weights)
        if routed.residual is not None:
            out = out + routed.residual[:, None] * flat
        return out.reshape(x.shape)

    def greedy(self, prompt: list[int], count: int) -> tuple[list[int], list[float]]:
        """The best tokens after a prompt and their log-probabilities, one at a time."""
        tokens, logprobs = list(prompt), []
        past: Any = None
        given = torch.tensor([prompt])
        for _ in range(count):
            with torch.no_grad():
                answer = self.model(given, past_key_values=past, use_cache=True)
            past = answer.past_key_values
            best = answer.logits[0, -1].log_softmax(-1).max(-1)
            tokens.append(int(best.indices))
            logprobs.append(float(best.values))
            given = torch.tensor([tokens[-1:]])
        return tokens[len(prompt) :], logprobs


@pytest.mark.parametrize("name", POLICIES)
def test_greedy_tokens_are_the_references(folder: Path, name: str) -> None:
    """Token by token, under each policy; and each policy says something of its own.

    No tie is near: the best token is 0.0033 or more ahead of the second, and weights that are off
    by 3e-6, some twenty times float32's rounding, change no log-probability by more than 7e-5.
    """
    said = everything(folder)
    mine = said[named(folder, POLICIES[name])]
    assert mine["experts"] == "CollegiumExperts"
    reference = Reference(folder / "mixtral", TokenPolicy.model_validate(POLICIES[name]))
    for prompt, tokens, logprobs in zip(PROMPTS, mine["tokens"], mine["logprobs"], strict=True):
        wanted, wanted_logprobs = reference.greedy(prompt, len(tokens))
        assert tokens == wanted
        np.testing.assert_allclose(logprobs, wanted_logprobs, atol=1e-3)
    others = [said[named(folder, p)]["tokens"] for n, p in POLICIES.items() if n != name]
    assert mine["tokens"] not in others


def test_what_the_routers_did_is_counted(folder: Path) -> None:
    """Every token of prompts and answers once in each layer, and none of vLLM's own trial runs."""
    said = everything(folder)[named(folder, {"statistics": True})]
    found = json.loads((folder / "tokens.json").read_text())["layers"]
    reference = Reference(folder / "mixtral", TokenPolicy())
    for prompt, tokens in zip(PROMPTS, said["tokens"], strict=True):
        reference.greedy(prompt, len(tokens))
    for layer, (counted, wanted) in enumerate(zip(found, reference.statistics, strict=True)):
        assert counted["layer"] == layer
        assert counted["tokens"] == sum(map(len, PROMPTS + said["tokens"])) - len(PROMPTS)
        assert counted["counts"] == wanted.counts.tolist()
        np.testing.assert_allclose(counted["mass"], wanted.mass, atol=1e-2)
        one, other, tokens = counted["pairs"][0]
        assert wanted.together[one, other] == tokens == wanted.together.triu(1).max()
