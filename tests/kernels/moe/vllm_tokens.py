"""Say greedy tokens of tiny random sparse models by vLLM, in a process of its own.

`python -m …vllm_tokens FOLDER TYPE MODE MODEL…` prints one JSON line: by model, the tokens and
their log-probabilities, those of the prompts' tokens, and the experts' class. `MODEL:TYPE` computes
in another type, `MODEL+SCHEME` quantises while loading, and `MODEL{…}` gives the plugin what it
reads in `additional_config`. Tests ask one process as much as they can: to import vLLM takes it 15
to 20 s.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.kernels.moe.far_from_ties import keep_apart

ROOT = Path(__file__).resolve().parents[3]

PROMPTS = [[5, 17, 3], [200, 41, 8, 8, 90, 12, 7], list(range(30, 60))]
SMALL: dict[str, Any] = {
    "hidden_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vocab_size": 256,
    "max_position_embeddings": 128,
}


def configurations() -> dict[str, Any]:
    """A tiny model of each kind: renormalised, not renormalised, fine-grained, grouped."""
    from transformers import DeepseekV3Config, MixtralConfig, OlmoeConfig, Qwen3MoeConfig

    return {
        "mixtral": MixtralConfig(
            **SMALL,
            intermediate_size=96,
            num_key_value_heads=2,
            num_local_experts=4,
            num_experts_per_tok=2,
        ),
        "olmoe": OlmoeConfig(
            **SMALL,
            intermediate_size=32,
            num_key_value_heads=4,
            num_experts=8,
            num_experts_per_tok=3,
        ),
        "qwen3_moe": Qwen3MoeConfig(
            **SMALL,
            intermediate_size=96,
            moe_intermediate_size=32,
            num_key_value_heads=2,
            num_experts=8,
            num_experts_per_tok=4,
        ),
        "deepseek_v3": DeepseekV3Config(
            **SMALL,
            intermediate_size=96,
            moe_intermediate_size=32,
            num_key_value_heads=4,
            n_routed_experts=8,
            num_experts_per_tok=2,
            n_group=4,
            topk_method="noaux_tc",  # type: ignore[call-arg]
            topk_group=2,
            n_shared_experts=1,
            first_k_dense_replace=1,
            q_lora_rank=32,
            kv_lora_rank=512,
            qk_rope_head_dim=64,
            qk_nope_head_dim=32,  # AMX attention packs 32 at a time
            v_head_dim=32,
        ),
    }


def make(folder: Path, *, seed: int = 0) -> None:
    """Write the models with random weights, and `apart`: a Mixtral that is far from ties."""
    kinds = configurations()
    for name, config in kinds.items():
        drawn(config, seed=seed).save_pretrained(folder / name)
    apart = drawn(kinds["mixtral"], seed=seed)
    keep_apart(apart, experts=kinds["mixtral"].num_local_experts)
    apart.save_pretrained(folder / "apart")


def drawn(config: Any, *, seed: int) -> Any:
    """A model with random weights that are the same every time."""
    import torch
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    model: Any = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
    for parameter in model.parameters():
        if parameter.dim() > 1:  # sharper logits than the usual initialisation's
            torch.nn.init.normal_(parameter, std=0.08)
    return model


def said(folder: Path, dtype: str, **options: Any) -> dict[str, Any]:
    """Greedy tokens for the prompts together, with the log-probabilities of both."""
    from vllm import LLM, SamplingParams

    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    llm = LLM(
        str(folder),
        dtype=dtype,
        skip_tokenizer_init=True,
        max_model_len=96,
        max_num_seqs=4,
        **options,
    )
    greedy = SamplingParams(
        temperature=0.0,
        max_tokens=12,
        logprobs=1,
        prompt_logprobs=1,
        detokenize=False,
        ignore_eos=True,
    )
    outputs = llm.generate([{"prompt_token_ids": p} for p in PROMPTS], greedy)
    answers = [output.outputs[0] for output in outputs]
    experts = llm.apply_model(experts_class)[0]
    return {
        "tokens": [list(answer.token_ids) for answer in answers],
        "logprobs": [chosen(answer.token_ids, answer.logprobs) for answer in answers],
        # The first token comes after nothing.
        "prompts": [
            chosen(prompt[1:], output.prompt_logprobs[1:])
            for prompt, output in zip(PROMPTS, outputs, strict=True)
        ],
        "experts": experts,
    }


def chosen(tokens: list[int], steps: Any) -> list[float]:
    """The log-probability of each token in its step."""
    return [step[token].logprob for token, step in zip(tokens, steps, strict=True)]


def experts_class(model: Any) -> str:
    """The class that computes the model's experts."""
    for module in model.modules():
        kernel = getattr(getattr(module, "quant_method", None), "moe_kernel", None)
        if kernel is not None:
            return type(kernel.fused_experts).__name__
    return "none"


@functools.cache
def asked(
    models: Path, names: tuple[str, ...], *, dtype: str, mode: str = "eager", switch: str = "force"
) -> dict[str, Any]:
    """What the models in a folder say in a vLLM process of its own."""
    return run("vllm_tokens", str(models), dtype, mode, *names, switch=switch)


def run(module: str, *arguments: str, switch: str = "force") -> dict[str, Any]:
    """The JSON that a module beside this one prints, with vLLM in its process."""
    environment = os.environ | {
        "COLLEGIUM_MOE": switch,
        "HF_HUB_OFFLINE": "1",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_DISABLE_COMPILE_CACHE": "1",
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "VLLM_NO_USAGE_STATS": "1",
    }
    command = [sys.executable, "-m", f"tests.kernels.moe.{module}", *arguments]
    done = subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main(folder: Path, dtype: str, mode: str, *names: str) -> None:
    """Print what each model says."""
    found = {}
    for name in names:
        model, brace, declared = name.partition("{")
        model, _, scheme = model.partition("+")
        model, _, own = model.partition(":")
        options: dict[str, Any] = {"quantization": scheme} if scheme else {}
        if brace:
            options["additional_config"] = {"collegium": json.loads(brace + declared)}
        found[name] = said(folder / model, own or dtype, enforce_eager=mode == "eager", **options)
    print(json.dumps(found), file=sys.__stdout__)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
