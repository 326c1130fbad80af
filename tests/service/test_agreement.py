"""vLLM and transformers agree on what the experts say."""

from __future__ import annotations

import contextlib
from typing import Any

import httpx
import numpy as np
import pytest

from collegium.evals.tasks import TASKS
from collegium.experts.embedded import ensure_base_model
from collegium.experts.specialists import ADAPTERS
from collegium.settings import load_settings

pytestmark = pytest.mark.slow
# vLLM computes in bfloat16, the reference in float32. Near ties flip greedy text, so we compare
# the log-probabilities of the very tokens that vLLM said.
MEAN_TOLERANCE = 0.05
WORST_TOLERANCE = 0.6


def said_by_vllm(http: httpx.Client, expert: str, prompt: str) -> tuple[list[int], list[float]]:
    """The token ids of a greedy answer and their log-probabilities."""
    body = {
        "model": expert,
        "messages": [{"role": "user", "content": prompt}],
        "temperature": 0,
        "max_tokens": 24,
        "logprobs": True,
        "return_token_ids": True,
    }
    answer = http.post("/v1/chat/completions", json=body).json()
    choice = answer["choices"][0]
    return choice["token_ids"], [t["logprob"] for t in choice["logprobs"]["content"]]


def by_transformers(model: Any, tokenizer: Any, prompt: str, tokens: list[int]) -> list[float]:
    """The log-probabilities that transformers gives to the same tokens after the same prompt."""
    import torch

    chat = [{"role": "user", "content": prompt}]
    asked = tokenizer.apply_chat_template(
        chat, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )["input_ids"]
    whole = torch.cat([asked, torch.tensor([tokens])], dim=1)
    with torch.inference_mode():
        logits = model(whole).logits[0, asked.shape[1] - 1 : -1].float()
    chosen = torch.log_softmax(logits, dim=-1).gather(1, torch.tensor(tokens)[:, None])
    return [float(value) for value in chosen[:, 0]]


@pytest.mark.filterwarnings("ignore")  # of libraries' own deprecations while loading
def test_vllm_agrees_with_transformers(http: httpx.Client) -> None:
    """20 prompts: the generalist, and every adapter on its own questions."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    base = ensure_base_model(load_settings().cache_dir)
    tokenizer = AutoTokenizer.from_pretrained(base)
    cases = {name: [e.prompt for e in t.examples("test", 3, 9)] for name, t in TASKS.items()}
    cases["smollm2"] = [p for prompts in cases.values() for p in prompts[:1]]
    assert sum(map(len, cases.values())) >= 20
    worst, differences = 0.0, []
    base_model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    base_model.eval()
    adapted: Any = None
    for expert, prompts in cases.items():
        if expert in TASKS and adapted is None:
            adapted = PeftModel.from_pretrained(base_model, str(ADAPTERS / expert), expert).eval()
        elif expert in TASKS:
            adapted.load_adapter(str(ADAPTERS / expert), expert)
        with contextlib.ExitStack() as stack:
            if expert in TASKS:
                adapted.set_adapter(expert)
            else:
                stack.enter_context(adapted.disable_adapter())
            for prompt in prompts:
                tokens, ours = said_by_vllm(http, expert, prompt)
                theirs = by_transformers(adapted, tokenizer, prompt, tokens)
                gaps = np.abs(np.array(ours) - np.array(theirs))
                differences += gaps.tolist()
                worst = max(worst, float(gaps.max()))
    assert np.mean(differences) < MEAN_TOLERANCE
    assert worst < WORST_TOLERANCE
