"""Pack a batch of questions and answers into one sequence without padding.

Every question starts with the same system message, so its tokens are computed once and all
questions attend to them; each question otherwise sees only itself, with the positions it would
have alone. The model's answers are those of separate sequences, for a third fewer tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from collegium.evals.tasks.base import Example
from collegium.experts.embedded import END_OF_TURN

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Tokens:
    """One question and its answer as token numbers."""

    prompt: list[int]
    answer: list[int]


@dataclass(frozen=True)
class Packed:
    """A batch as one sequence: the model's inputs, and which outputs are learnt from.

    `owners` says whose each token is, counting from 1; tokens of the common beginning have 0.
    """

    input_ids: Tensor
    position_ids: Tensor
    attention_mask: Tensor
    predictors: Tensor
    targets: Tensor
    owners: Tensor


def tokenise(tokenizer: PreTrainedTokenizerBase, example: Example) -> Tokens:
    """Write an example as the chat endpoint would: template, default system message, stop token."""
    messages = [{"role": "user", "content": example.prompt}]
    text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    answer = example.reference + END_OF_TURN
    return Tokens(
        tokenizer(text, add_special_tokens=False)["input_ids"],
        tokenizer(answer, add_special_tokens=False)["input_ids"],
    )


def pack(batch: Sequence[Tokens]) -> Packed:
    """Join a batch behind its common beginning."""
    import torch

    # Every question keeps at least one token of its own: it predicts the answer's first.
    shared = beginning([tokens.prompt[:-1] for tokens in batch])
    ids, positions, owners = list(shared), list(range(len(shared))), [0] * len(shared)
    predictors: list[int] = []
    targets: list[int] = []
    for owner, tokens in enumerate(batch, start=1):
        own = tokens.prompt[len(shared) :] + tokens.answer
        answer_start = len(ids) + len(own) - len(tokens.answer)
        predictors += range(answer_start - 1, answer_start - 1 + len(tokens.answer))
        targets += tokens.answer
        positions += range(len(shared), len(shared) + len(own))
        owners += [owner] * len(own)
        ids += own
    return Packed(
        torch.tensor([ids]),
        torch.tensor([positions]),
        visibility(torch.tensor(owners)),
        torch.tensor(predictors),
        torch.tensor(targets),
        torch.tensor(owners),
    )


def beginning(sequences: Sequence[list[int]]) -> list[int]:
    """Return the longest beginning that all sequences have in common."""
    first, last = min(sequences), max(sequences)  # in order, so what these share all share
    same = next(
        (i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first)
    )
    return first[:same]


def visibility(owners: Tensor) -> Tensor:
    """Say which token sees which: earlier ones that are shared (owner 0) or of the same owner."""
    import torch

    earlier = torch.ones(len(owners), len(owners), dtype=torch.bool).tril()
    related = (owners[None, :] == 0) | (owners[None, :] == owners[:, None])
    return (earlier & related)[None, None]
