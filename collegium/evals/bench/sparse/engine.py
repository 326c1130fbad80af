"""One vLLM in its own process for `collegium bench sparse`, controlled over standard input.

Its arguments are a model's folder, its format, context and sequences. It prints a line of JSON once
it is ready and one for every line of JSON that it reads (a workload and a seed).
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Workload:
    """What is asked at once: sequences of random tokens, and how many are to be answered."""

    name: str
    sequences: int
    prompt: int
    answer: int

    @property
    def counted(self) -> int:
        """Tokens that its rate is of: the prompts' where one token is answered, else answers'."""
        return self.sequences * (self.prompt if self.answer == 1 else self.answer)


@dataclass(frozen=True)
class Ready:
    """What computes the sparse layers, and on which of vLLM's platforms."""

    experts: str
    platform: str


def main(folder: str, load_format: str, context: int, sequences: int) -> None:
    """Load the model, then answer line by line until the input ends."""
    # vLLM and what it loads print to stdout: from now on that is stderr.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    from vllm import LLM
    from vllm.platforms import current_platform

    llm: Any = LLM(
        folder,
        dtype="bfloat16",
        enforce_eager=True,  # as the pool's engines run
        enable_prefix_caching=False,
        load_format=load_format,
        max_model_len=context,
        max_num_seqs=sequences,
        skip_tokenizer_init=True,
    )
    size = llm.llm_engine.model_config.get_vocab_size()
    found = Ready(llm.apply_model(experts_class)[0], type(current_platform).__name__)
    print(json.dumps(asdict(found)), file=answers, flush=True)
    for line in sys.stdin:
        told = json.loads(line)
        seconds = generated(llm, Workload(**told["workload"]), told["seed"], size)
        print(json.dumps({"seconds": seconds}), file=answers, flush=True)


def experts_class(model: Any) -> str:
    """The class that computes the model's experts."""
    for module in model.modules():
        kernel = getattr(getattr(module, "quant_method", None), "moe_kernel", None)
        if kernel is not None:
            return type(kernel.fused_experts).__name__
    return "none"


def generated(llm: Any, workload: Workload, seed: int, vocabulary: int) -> float:
    """Seconds for a workload's tokens; the prompts differ with the seed."""
    from vllm import SamplingParams

    chosen = random.Random(seed)
    prompts = [
        {"prompt_token_ids": [chosen.randrange(vocabulary) for _ in range(workload.prompt)]}
        for _ in range(workload.sequences)
    ]
    greedy = SamplingParams(
        temperature=0.0, max_tokens=workload.answer, ignore_eos=True, detokenize=False
    )
    started = time.perf_counter()
    llm.generate(prompts, greedy, use_tqdm=False)
    return time.perf_counter() - started


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
