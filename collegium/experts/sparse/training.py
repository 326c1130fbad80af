"""Train what the mixture adds to its parts: a gate a layer, and one change to shared attention."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from random import Random
from time import monotonic
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from collegium.experts.sparse import BASE, EXPERTS_PER_TOKEN, MEMBERS
from collegium.experts.sparse.lora import builtin_adapters
from collegium.experts.sparse.small_talk import prompts
from collegium.experts.specialists.checkpoints import Checkpoint, Progress
from collegium.experts.specialists.packing import Packed, Tokens, pack, tokenise
from collegium.experts.specialists.tasks import TASKS
from collegium.experts.specialists.tasks.base import Example
from collegium.experts.specialists.training import Recipe as Schedule
from collegium.experts.specialists.training import mean
from collegium.experts.vllm import fastest_dtype

if TYPE_CHECKING:
    import torch
    from torch import Tensor

NAME = "gates"
CARD = "card.json"
CHECKPOINT_EVERY = 20
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

        from collegium.experts.sparse.mixture import mix, trained

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
        self._weights: dict[str, Tensor] = dict(trained(self._model))
        for weight in self._weights.values():
            weight.requires_grad_(True)
        gates = [w for name, w in self._weights.items() if name.endswith("gate")]
        others = [w for name, w in self._weights.items() if not name.endswith("gate")]
        self._optimiser = torch.optim.AdamW(
            [
                {"params": gates, "peak": recipe.gate_peak},
                {"params": others, "peak": recipe.attention_peak},
            ],
            weight_decay=0,
        )

    def run(self, checkpoint: Checkpoint) -> Progress:
        """Do the steps that are left, saving a checkpoint now and then."""
        import torch

        with torch.no_grad():
            progress = checkpoint.load(self._weights, self._optimiser)
        batches = list(self._batches())
        began = monotonic() - progress.seconds
        with tqdm(total=len(batches), initial=progress.step, desc=NAME, unit="step") as bar:
            for owners, batch in batches[progress.step :]:
                progress.losses.append(self._step(owners, pack(batch), progress.step))
                progress.step += 1
                progress.seconds = monotonic() - began
                bar.set_postfix(loss=f"{mean(progress.losses[-20:]):.3f}", refresh=False)
                bar.update()
                if progress.step % CHECKPOINT_EVERY == 0:
                    checkpoint.save(progress, self._weights, self._optimiser)
        return progress

    def save(self, folder: Path, card: dict[str, Any]) -> None:
        """Write the trained weights in bf16 and their card."""
        import torch
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        tensors = {n: w.detach().to(torch.bfloat16) for n, w in self._weights.items()}
        save_file(tensors, folder / f"{NAME}.safetensors")
        (folder / CARD).write_text(json.dumps(card, indent=2) + "\n")

    def _answered(self, questions: list[str]) -> list[Tokens]:
        """What the base itself says to everyday prompts."""
        found = []
        groups = range(0, len(questions), ANSWERED_AT_ONCE)
        for start in tqdm(groups, desc="small talk", unit="batch"):
            part = questions[start : start + ANSWERED_AT_ONCE]
            for question, answer in zip(part, self._generate(part), strict=True):
                found.append(tokenise(self._tokenizer, Example("", BASE, "", question, answer)))
        return found

    def _generate(self, questions: list[str]) -> list[str]:
        import torch

        chats = [[{"role": "user", "content": question}] for question in questions]
        inputs = self._tokenizer.apply_chat_template(
            chats, add_generation_prompt=True, padding=True, return_tensors="pt", return_dict=True
        )
        with torch.no_grad():
            output = self._model.generate(
                **inputs, max_new_tokens=LONGEST_SMALL_TALK, do_sample=False
            )
        answers = output[:, inputs["input_ids"].shape[1] :]
        return list(self._tokenizer.batch_decode(answers, skip_special_tokens=True))

    def _batches(self) -> Iterator[tuple[list[int], list[Tokens]]]:
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

    def _step(self, owners: list[int], packed: Packed, step: int) -> float:
        import torch

        for group in self._optimiser.param_groups:
            group["lr"] = group["peak"] * self._recipe.share(step)
        loss = self._loss(packed)
        wanted = torch.tensor([-100, *owners])[packed.owners]  # -100: the common beginning
        owned = [torch.nn.functional.cross_entropy(m.logits, wanted) for m in self._layers]
        total = loss + self._recipe.owner_weight * sum(owned)
        total.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self._weights.values(), 1.0)
        self._optimiser.step()
        self._optimiser.zero_grad()
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
    progress = trainer.run(checkpoint)
    card = {
        "members": list(MEMBERS),
        "experts_per_token": EXPERTS_PER_TOKEN,
        **asdict(recipe),
        "computed_in": fastest_dtype(),
        "final_loss": round(mean(progress.losses[-20:]), 4),
        "duration_s": round(progress.seconds, 1),
        "versions": {name: version(name) for name in ("torch", "transformers")},
    }
    trainer.save(out, card)
    checkpoint.remove()
    return out
