"""Train a LoRA adapter of the base model on a task's answers."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collegium.evals.tasks.base import Example, Task
from collegium.evals.training.checkpoints import Checkpoint, learn, mean, run
from collegium.evals.training.packing import Packed, Tokens, pack, tokenise
from collegium.experts.embedded import BASE_MODEL
from collegium.experts.specialists import SPECIALISTS
from collegium.experts.vllm import fastest_dtype

if TYPE_CHECKING:
    from torch import Tensor

CARD = "card.json"
TARGETS = ("q_proj", "v_proj", "gate_proj", "up_proj", "down_proj")
VALIDATION_EXAMPLES = 64
# More for the skills that the base model lacks most.
STEPS = {"conversion": 220, "json": 90, "labels": 130, "lists": 260, "sql": 140}


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what an adapter becomes, besides its task."""

    steps: int = 150
    batch: int = 8
    peak: float = 1.5e-3
    warmup: int = 10
    rank: int = 8
    alpha: int = 16
    seed: int = 0
    data_seed: int = 0

    def rate(self, step: int) -> float:
        """Return a step's learning rate: a short rise, then a cosine fall to a twentieth."""
        if step < self.warmup:
            return self.peak * (step + 1) / self.warmup
        done = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.peak * (0.05 + 0.95 * (1 + math.cos(math.pi * done)) / 2)


def train(task: Task, base: Path, out: Path, recipe: Recipe) -> Path:
    """Train, or go on training, one specialist and return its adapter's folder."""
    trainer = Trainer(base, recipe)
    examples = task.examples("train", recipe.steps * recipe.batch, recipe.data_seed)
    checkpoint = Checkpoint(out, task.name, {**asdict(recipe), "data": fingerprint(examples)})
    batches = list(trainer.batches(examples))
    progress = run(checkpoint, batches, trainer.step, trainer.weights, trainer.optimiser)
    card = {
        "task": task.name,
        "description": SPECIALISTS[task.name],
        "base_model": BASE_MODEL,
        **asdict(recipe),
        "computed_in": fastest_dtype(),
        "examples": len(examples),
        "final_loss": round(progress.loss, 4),
        "validation_loss": round(trainer.validation_loss(task), 4),
        "duration_s": round(progress.seconds, 1),
        "versions": {name: version(name) for name in ("peft", "torch", "transformers")},
    }
    folder = trainer.save(out / task.name, card)
    checkpoint.remove()
    return folder


def is_finished(folder: Path) -> bool:
    """Say whether an adapter is there: its card is written last."""
    return (folder / CARD).exists()


def fingerprint(examples: Sequence[Example]) -> str:
    """Identify training data, so that a changed task does not continue an old training."""
    text = json.dumps([(example.prompt, example.reference) for example in examples])
    return sha256(text.encode()).hexdigest()


class Trainer:
    """The base model with a fresh adapter, its tokenizer and its optimiser."""

    def __init__(self, base: Path, recipe: Recipe) -> None:
        import torch
        from peft import LoraConfig, get_peft_model
        from transformers import AutoModelForCausalLM, AutoTokenizer

        torch.manual_seed(recipe.seed)
        self._recipe = recipe
        self._tokenizer = AutoTokenizer.from_pretrained(base)
        # The weights stay in float32; products are in bf16 where the processor has them (2.2 s a
        # step, not 3.3). A CPU without AVX512-BF16 takes 16 times longer in bf16 (47 s, not 3).
        self._mixed = fastest_dtype() == "bfloat16"
        model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
        config = LoraConfig(
            r=recipe.rank,
            lora_alpha=recipe.alpha,
            target_modules=list(TARGETS),
            task_type="CAUSAL_LM",
        )
        self._model = get_peft_model(model, config)
        self._body = model.model
        self._head = model.lm_head
        self.weights = {n: p for n, p in self._model.named_parameters() if p.requires_grad}
        self.optimiser = torch.optim.AdamW(self.weights.values(), lr=recipe.peak, weight_decay=0)

    def batches(self, examples: Sequence[Example]) -> Iterator[list[Tokens]]:
        """Cut examples into batches of tokens."""
        tokens = [tokenise(self._tokenizer, example) for example in examples]
        for start in range(0, len(tokens), self._recipe.batch):
            yield tokens[start : start + self._recipe.batch]

    def step(self, batch: list[Tokens], number: int) -> float:
        """Learn from one batch and return its loss."""
        for group in self.optimiser.param_groups:
            group["lr"] = self._recipe.rate(number)
        loss = self.loss(pack(batch))
        learn(loss, self.weights, self.optimiser)
        return loss.item()

    def loss(self, packed: Packed) -> Tensor:
        """Return the loss on the answers' tokens; only those pay for the 49152 logits."""
        import torch

        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self._mixed):
            hidden = self._body(
                input_ids=packed.input_ids,
                position_ids=packed.position_ids,
                attention_mask=packed.attention_mask,
                use_cache=False,
            ).last_hidden_state
            logits = self._head(hidden[0, packed.predictors])
        return torch.nn.functional.cross_entropy(logits.float(), packed.targets)

    def validation_loss(self, task: Task) -> float:
        """Return the mean loss on phrasings that were trained, with values that were not."""
        import torch

        batches = self.batches(task.examples("validation", VALIDATION_EXAMPLES))
        with torch.no_grad():
            return mean([self.loss(pack(batch)).item() for batch in batches])

    def save(self, folder: Path, card: dict[str, Any]) -> Path:
        """Write the adapter in bf16, as vLLM and PEFT read it, and its card last."""
        import torch

        shutil.rmtree(folder, ignore_errors=True)
        for weight in self.weights.values():
            weight.data = weight.data.to(torch.bfloat16)
        self._model.peft_config["default"].base_model_name_or_path = BASE_MODEL
        self._model.save_pretrained(str(folder), save_embedding_layers=False)
        (folder / "README.md").unlink(missing_ok=True)
        (folder / CARD).write_text(json.dumps(card, indent=2) + "\n")
        return folder
