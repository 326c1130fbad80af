"""How well a sparse model does the tasks: greedy answers by transformers, marked by the tasks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from collegium.experts.specialists import TASKS
from collegium.experts.specialists.tasks.base import Example, Split

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

LONGEST_ANSWER = 64  # tokens; the tasks' references have at most 60
AT_ONCE = 25


class Judge:
    """A fixed set of questions, so that two models are asked the same."""

    def __init__(self, per_task: int, *, split: Split = "validation", tasks: Sequence[str] = ()):
        names = tasks or tuple(TASKS)
        self.questions = {name: TASKS[name].examples(split, per_task) for name in names}

    def accuracy(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
    ) -> dict[str, float]:
        """The share of right answers by task."""
        total = sum(map(len, self.questions.values()))
        found = {}
        with tqdm(total=total, desc="questions", unit="question") as bar:
            for name, examples in self.questions.items():
                right = 0
                for start in range(0, len(examples), AT_ONCE):
                    part = examples[start : start + AT_ONCE]
                    right += marked(name, part, answers(model, tokenizer, part))
                    bar.update(len(part))
                found[name] = right / len(examples)
        return found


def marked(task: str, examples: Sequence[Example], given: Sequence[str]) -> int:
    """How many of the answers are right."""
    pairs = zip(examples, given, strict=True)
    return sum(TASKS[task].check(example, answer) for example, answer in pairs)


def answers(model: Any, tokenizer: Any, examples: Sequence[Example]) -> list[str]:
    """Greedy answers to questions, put as the chat endpoint does."""
    import torch

    chats = [[{"role": "user", "content": example.prompt}] for example in examples]
    inputs = tokenizer.apply_chat_template(
        chats, add_generation_prompt=True, padding=True, return_tensors="pt", return_dict=True
    )
    with torch.inference_mode():
        output = model.generate(**inputs, max_new_tokens=LONGEST_ANSWER, do_sample=False)
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
