"""Train the mixture's additions: one gate per layer, and one change of the shared attention."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from collegium.evals.tasks import TASKS
from collegium.evals.tasks.base import Example
from collegium.evals.training.checkpoints import Checkpoint, learn, run
from collegium.evals.training.packing import Packed, Tokens, pack, tokenise
from collegium.evals.training.sparse.judging import answers
from collegium.evals.training.sparse.small_talk import prompts
from collegium.evals.training.specialists import Recipe as Schedule
from collegium.experts.sparse import BASE, EXPERTS_PER_TOKEN, MEMBERS
from collegium.experts.sparse.lora import builtin_adapters
from collegium.experts.vllm import fastest_dtype

if TYPE_CHECKING:
    import torch
    from torch import Tensor

NAME = "gates"
CARD = "card.json"
LONGEST_SMALL_TALK = 32  # tokens of the base's answer that are learnt from
ANSWERED_AT_ONCE = 24


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what the gates become."""

    steps: int = 45
    batch: int = 6
    gate_peak: float = 1e-2
    attention_peak: float = 6e-4
    rank: int = 8
    owner_weight: float = 0.1
    small_talk: int = 48
    seed: int = 0

    def share(self, step: int) -> float:
        """The step's part of the peak rates: a short rise, then a cosine."""
        return Schedule(steps=self.steps, peak=1.0).rate(step)


class Trainer:
    """The mixture, its tokenizer and its optimiser."""

    def __init__(self, base: Path, recipe: Recipe) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        from collegium.evals.training.sparse.mixture import mix, trained

        torch.manual_seed(recipe.seed)
        self._recipe = recipe
        self._tokenizer: Any = AutoTokenizer.from_pretrained(base, padding_side="left")
        # What is frozen is in the type that is multiplied, what is trained in float32: autocast
        # converted all weights each step. Attention's kernel took longer backward than plain sums.
        dtype = getattr(torch, fastest_dtype())
        self._model: Any = AutoModelForCausalLM.from_pretrained(
            base, dtype=dtype, attn_implementation="eager"
        )
        self._small_talk = self._answered(prompts(recipe.small_talk, seed=recipe.seed))
        self._layers = mix(self._model, builtin_adapters(), recipe.rank)
        self.weights: dict[str, Tensor] = dict(trained(self._model))
        for weight in self.weights.values():
            weight.requires_grad_(True)
        gates = [w for name, w in self.weights.items() if name.endswith("gate")]
        others = [w for name, w in self.weights.items() if not name.endswith("gate")]
        self.optimiser = torch.optim.AdamW(
            [
                {"params": gates, "peak": recipe.gate_peak},
                {"params": others, "peak": recipe.attention_peak},
            ],
            weight_decay=0,
        )

    def save(self, folder: Path, card: dict[str, Any]) -> None:
        """Write the trained weights in bf16 and their card."""
        import torch
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        tensors = {n: w.detach().to(torch.bfloat16) for n, w in self.weights.items()}
        save_file(tensors, folder / f"{NAME}.safetensors")
        (folder / CARD).write_text(json.dumps(card, indent=2) + "\n")

    def _answered(self, questions: list[str]) -> list[Tokens]:
        """What the base itself says to everyday prompts."""
        found = []
        groups = range(0, len(questions), ANSWERED_AT_ONCE)
        for start in tqdm(groups, desc="small talk", unit="batch"):
            part = [
                Example("", BASE, "", q, "") for q in questions[start : start + ANSWERED_AT_ONCE]
            ]
            said = answers(self._model, self._tokenizer, part, longest=LONGEST_SMALL_TALK)
            for example, answer in zip(part, said, strict=True):
                found.append(tokenise(self._tokenizer, replace(example, reference=answer)))
        return found

    def batches(self) -> Iterator[tuple[list[int], list[Tokens]]]:
        """Batches of examples of all members in turn, with the members' numbers."""
        random = Random(self._recipe.seed)
        each = self._recipe.steps * self._recipe.batch // len(MEMBERS) + 1
        drawn: list[list[Tokens]] = [random.choices(self._small_talk, k=each)]
        for task in TASKS.values():
            examples = task.examples("train", each, self._recipe.seed + 1)
            drawn.append([tokenise(self._tokenizer, example) for example in examples])
        rows = [
            (owner, tokens) for row in zip(*drawn, strict=True) for owner, tokens in enumerate(row)
        ]
        for step in range(self._recipe.steps):
            part = rows[step * self._recipe.batch : (step + 1) * self._recipe.batch]
            yield [owner for owner, _ in part], [tokens for _, tokens in part]

    def step(self, batch: tuple[list[int], list[Tokens]], number: int) -> float:
        """Learn from the members' examples and return the loss on answers."""
        import torch

        owners, packed = batch[0], pack(batch[1])
        for group in self.optimiser.param_groups:
            group["lr"] = group["peak"] * self._recipe.share(number)
        loss = self._loss(packed)
        wanted = torch.tensor([-100, *owners])[packed.owners]  # -100: the common beginning
        owned = [torch.nn.functional.cross_entropy(m.logits, wanted) for m in self._layers]
        total = loss + self._recipe.owner_weight * sum(owned)
        learn(total, self.weights, self.optimiser)
        return float(loss.item())

    def _loss(self, packed: Packed) -> Tensor:
        import torch

        hidden = self._model.model(
            input_ids=packed.input_ids,
            position_ids=packed.position_ids,
            attention_mask=additive(packed.attention_mask, self._model.dtype),
            use_cache=False,
        ).last_hidden_state
        logits = self._model.lm_head(hidden[0, packed.predictors])
        return torch.nn.functional.cross_entropy(logits.float(), packed.targets)


def additive(visible: Tensor, dtype: torch.dtype) -> Tensor:
    """A mask to add to scores: nothing where a token is visible, the least number where not."""
    import torch

    return torch.zeros(visible.shape, dtype=dtype).masked_fill(~visible, torch.finfo(dtype).min)


def train(base: Path, out: Path, recipe: Recipe) -> Path:
    """Train, or go on training, the gates; return the folder with their weights."""
    trainer = Trainer(base, recipe)
    checkpoint = Checkpoint(out, NAME, asdict(recipe))
    batches = list(trainer.batches())
    progress = run(checkpoint, batches, trainer.step, trainer.weights, trainer.optimiser)
    card = {
        "members": list(MEMBERS),
        "experts_per_token": EXPERTS_PER_TOKEN,
        **asdict(recipe),
        "computed_in": fastest_dtype(),
        "final_loss": round(progress.loss, 4),
        "duration_s": round(progress.seconds, 1),
        "versions": {name: version(name) for name in ("torch", "transformers")},
    }
    trainer.save(out, card)
    checkpoint.remove()
    return out
