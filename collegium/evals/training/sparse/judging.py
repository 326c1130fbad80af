"""Evaluate a sparse model on the tasks: greedy answers, marked by the tasks.

`collegium eval sparse` asks vLLM; `collegium train prune` and `quantise` ask transformers.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from collegium.evals.tasks import TASKS
from collegium.evals.tasks.base import Example, Split

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

CONTEXT = 1024  # tokens
LONGEST_ANSWER = 64  # tokens; the tasks' references have at most 60
AT_ONCE = 25


@dataclass(frozen=True)
class Quality:
    """A model's share of right answers by task, and the size of its weights."""

    accuracy: dict[str, float]
    gigabytes: float


class Judge:
    """A fixed set of questions, so that two models are asked the same."""

    def __init__(self, per_task: int, *, split: Split = "validation", tasks: Sequence[str] = ()):
        names = tasks or tuple(TASKS)
        self.questions = {name: TASKS[name].examples(split, per_task) for name in names}

    def accuracy(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
    ) -> dict[str, float]:
        """The share of right answers by task."""
        right = self.right(lambda part: answers(model, tokenizer, part))
        return {name: count / len(self.questions[name]) for name, count in right.items()}

    def quality(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path
    ) -> Quality:
        """How good a model is, and how large its folder's weights are."""
        size = (folder / "model.safetensors").stat().st_size / 1e9
        return Quality(self.accuracy(model, tokenizer), round(size, 3))

    def right(self, ask: Callable[[Sequence[Example]], Sequence[str]]) -> dict[str, int]:
        """How many answers are right by task; `ask` answers a few questions at once."""
        total = sum(map(len, self.questions.values()))
        found = {}
        with tqdm(total=total, desc="questions", unit="question") as bar:
            for name, examples in self.questions.items():
                found[name] = 0
                for start in range(0, len(examples), AT_ONCE):
                    part = examples[start : start + AT_ONCE]
                    found[name] += marked(name, part, ask(part))
                    bar.update(len(part))
        return found


def marked(task: str, examples: Sequence[Example], given: Sequence[str]) -> int:
    """How many of the answers are right."""
    pairs = zip(examples, given, strict=True)
    return sum(TASKS[task].check(example, answer) for example, answer in pairs)


def answers(
    model: Any, tokenizer: Any, examples: Sequence[Example], *, longest: int = LONGEST_ANSWER
) -> list[str]:
    """Greedy answers to questions, put as the chat endpoint does."""
    import torch

    chats = [[{"role": "user", "content": example.prompt}] for example in examples]
    inputs = tokenizer.apply_chat_template(
        chats, add_generation_prompt=True, padding=True, return_tensors="pt", return_dict=True
    )
    with torch.inference_mode():
        output = model.generate(**inputs, max_new_tokens=longest, do_sample=False)
    new = output[:, inputs["input_ids"].shape[1] :]
    return list(tokenizer.batch_decode(new, skip_special_tokens=True))


def load(folder: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A model and its tokenizer, in the type that is fast here."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from collegium.experts.vllm import fastest_dtype

    dtype = getattr(torch, fastest_dtype())
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
    return model, tokenizer


def vllm_answers(folder: Path) -> Callable[[Sequence[Example]], list[str]]:
    """Load a model into a vLLM in this process; return what answers greedily, as it is served."""
    from collegium.experts.vllm import EngineSpec, environment
    from collegium.registry.engine import Engine

    spec = EngineSpec(Engine(name="judged", model_path=str(folder)))
    os.environ.update(environment(spec))
    os.environ.update(
        VLLM_ENABLE_V1_MULTIPROCESSING="0",  # in this process
        VLLM_LOGGING_LEVEL="WARNING",
        VLLM_LOGGING_STREAM="ext://sys.stderr",
    )
    from vllm import LLM, SamplingParams

    llm: Any = LLM(
        str(folder),
        dtype=spec.dtype,
        enforce_eager=True,  # as the pool's engines run
        load_format="safetensors",  # never pickles
        max_model_len=CONTEXT,
        max_num_seqs=AT_ONCE,
    )
    greedy = SamplingParams(temperature=0.0, max_tokens=LONGEST_ANSWER)

    def ask(examples: Sequence[Example]) -> list[str]:
        chats = [[{"role": "user", "content": example.prompt}] for example in examples]
        return [found.outputs[0].text for found in llm.chat(chats, greedy, use_tqdm=False)]

    return ask


def summary(right: dict[str, int], questions: int) -> dict[str, Any]:
    """Accuracy by task, and of all with its 95 % interval (Wilson's)."""
    from scipy.stats import binomtest

    correct, asked = sum(right.values()), questions * len(right)
    low, high = binomtest(correct, asked).proportion_ci(method="wilson")
    tasks = {name: count / questions for name, count in right.items()}
    return {"tasks": tasks, "all": correct / asked, "interval": [float(low), float(high)]}
