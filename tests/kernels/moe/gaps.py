"""How far what vLLM says is from what a model in transformers says of the same tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from tests.kernels.moe.vllm_tokens import PROMPTS


@dataclass(frozen=True)
class Gaps:
    """How far log-probabilities are from a model's: the root mean square, and the largest."""

    typical: float
    largest: float

    def within(self, limit: Gaps) -> bool:
        """Whether both are."""
        return self.typical < limit.typical and self.largest < limit.largest

    def beyond(self, limit: Gaps, *, times: float = 1.0) -> bool:
        """Whether both are."""
        return self.typical > times * limit.typical and self.largest > times * limit.largest


# vLLM rounds to bfloat16 all the way; int8 and int4 round activations to int8, too. Over the models
# of 20 seeds (int8, int4-w4a16, fp8-rows, mxfp4), on an AMD EPYC with AVX-512:
#                                     integers                   floats
#   as the codes mean       0.014 to 0.023, up to 0.081   0.008 to 0.013, up to 0.046
#   w2's scales 10 % more   0.057 or more, from 0.137     0.035 or more, from 0.093
# with w13's scales or both it is 0.084 or more; int4 codes misread in other ways 0.11 or more.
INTEGERS, FLOATS = Gaps(0.035, 0.12), Gaps(0.02, 0.07)


def gaps(said: dict[str, Any], model: Any) -> Gaps:
    """Ask the model for the prompts' and the answers' tokens as vLLM said them.

    Where a token of an answer is not the model's own best, the way to that is a gap, too.
    """
    off, behind = [], []
    for place, prompt in enumerate(PROMPTS):
        tokens = prompt + said["tokens"][place]
        with torch.no_grad():
            wanted = model(torch.tensor([tokens])).logits[0, :-1].log_softmax(-1)
        mine = wanted.gather(1, torch.tensor(tokens[1:])[:, None])[:, 0].numpy()
        off.append(mine - np.array(said["prompts"][place] + said["logprobs"][place]))
        behind.append((wanted.amax(-1).numpy() - mine)[len(prompt) - 1 :])
    every = np.concatenate(off)
    largest = max(abs(every).max(), np.concatenate(behind).max())
    return Gaps(float(np.sqrt((every**2).mean())), float(largest))
