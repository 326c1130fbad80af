"""Cards, what engines need of them, and the plan that says which engine goes where.

Memory is in GiB. An engine of tensor-parallel degree t takes the same amount on each of its t
cards, which are of one kind. It is *resident* (always loaded) or *takes turns*: then the largest
engine that takes turns on a card has to fit beside the resident ones, and no two of them at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from collegium.experts.checkpoint import GIB, Checkpoint

USABLE = 0.92
"""The part of a card's memory that engines may fill: vLLM's own default for one engine."""
OVERHEAD_GIB = 2.5
"""A card's share of an engine beside weights and KV cache: CUDA context, activations, CUDA graphs.
Assumed: no GPU was there to measure it; `scripts/gpu-check` does."""
ASLEEP_GIB = 1.0
"""What a sleeping engine keeps of each card (its CUDA context): assumed, like OVERHEAD_GIB."""


@dataclass(frozen=True)
class Card:
    """One GPU."""

    index: int
    memory_gib: float
    kind: str = ""

    @property
    def usable_gib(self) -> float:
        """What engines may fill of it."""
        return USABLE * self.memory_gib


@dataclass(frozen=True)
class Need:
    """What one engine needs, whichever cards it gets."""

    name: str
    checkpoint: Checkpoint
    sequences: int = 32
    """Requests that it runs at once."""
    context: int = 2048
    """Tokens that each of them may fill of the KV cache."""
    fill: float = 1.0
    """The part of `sequences` times `context` that the KV cache has room for; one whole context at
    least."""
    kv_floor_gib: float = 0.0
    """The KV cache is never smaller, all cards together."""
    requests_per_minute: float = 0.0
    active: float = 1.0
    """The part of its weights that a token uses: below 1 for a sparse model."""
    loras: int = 0
    """Adapters computed in one batch."""
    lora_rank: int = 16
    always: bool = False
    """It may not take turns."""
    sleep_level: int = 0
    cards: tuple[int, ...] | None = None
    """The cards it has to run on, in the same order; None: any."""
    degree: int | None = None
    """Its tensor-parallel degree; None: whatever is best."""
    now: tuple[int, ...] = ()
    """The cards that it runs on now."""
    kept: bool = False
    """It runs, and every plan has to place it."""

    def kv_gib_on(self, degree: int) -> float:
        """Its KV cache on each of `degree` cards."""
        tokens = self.context * max(1.0, self.sequences * self.fill)
        return max(tokens * self.checkpoint.kv_bytes(degree) / GIB, self.kv_floor_gib / degree)

    def gib_on(self, degree: int) -> float:
        """What it takes of each of `degree` cards."""
        loras = self.loras * self.checkpoint.lora_bytes(self.lora_rank) / GIB
        shared = (self.checkpoint.weights_gib + loras) / degree
        return shared + self.kv_gib_on(degree) + OVERHEAD_GIB

    def degrees(self, most: int) -> tuple[int, ...]:
        """The tensor-parallel degrees that it can have: they divide its attention heads.

        vLLM also wants the KV heads to be divided by the degree, or the degree by them.
        """
        heads, kv = self.checkpoint.heads, self.checkpoint.kv_heads
        if self.cards is not None and self.degree in (None, len(self.cards)):
            wanted: Sequence[int] = (len(self.cards),)
        else:
            wanted = range(1, most + 1) if self.degree is None else (self.degree,)
        split = (t for t in wanted if t <= most and heads % t == 0)
        return tuple(t for t in split if kv % t == 0 or t % kv == 0)

    def work_on(self, degree: int) -> float:
        """What it makes each of its cards compute, in GiB of weights a minute."""
        return self.requests_per_minute * self.active * self.checkpoint.weights_gib / degree

    @property
    def weight(self) -> float:
        """How much it counts: an engine that is rarely asked still counts as one."""
        return 1.0 + self.requests_per_minute


@dataclass(frozen=True)
class Placement:
    """Where one engine goes."""

    engine: str
    cards: tuple[int, ...]
    gib: float
    """Of each of its cards."""
    kv_gib: float
    """The part of that which is its KV cache."""
    utilization: float
    """`--gpu-memory-utilization`: `gib` as a part of a card."""
    resident: bool = True

    @property
    def device(self) -> str:
        """As in CUDA_VISIBLE_DEVICES."""
        return ",".join(map(str, self.cards))


@dataclass(frozen=True)
class Plan:
    """All placements, what they leave and what did not fit."""

    placements: tuple[Placement, ...]
    left_gib: dict[int, float]
    """Usable memory that no engine has, by card, while the largest that takes turns is loaded."""
    unplaced: dict[str, str] = field(default_factory=dict)
    """Engines that did not fit, and why."""
    moved: tuple[str, ...] = ()
    """Engines that run elsewhere now, and have to be started anew."""
    optimal: bool = True
    """Whether the solver proved that no plan is better, in the time that it had."""

    def of(self, engine: str) -> Placement | None:
        """An engine's placement; None where it has none."""
        return next((p for p in self.placements if p.engine == engine), None)


def placement(need: Need, cards: Sequence[Card], *, resident: bool) -> Placement:
    """An engine on these cards, which are of one kind."""
    gib = need.gib_on(len(cards))
    indices = tuple(card.index for card in cards)
    return Placement(
        need.name,
        indices,
        gib,
        need.kv_gib_on(len(cards)),
        utilization_of(gib, cards[0]),
        resident,
    )


def utilization_of(gib: float, card: Card) -> float:
    """A part of a card, in whole hundredths of a per cent and never more than was asked for."""
    return int(gib / card.memory_gib * 10_000) / 10_000


def left_by(
    placements: Sequence[Placement], needs: Sequence[Need], cards: Sequence[Card]
) -> dict[int, float]:
    """What is left of each card's usable memory."""
    sleepers = {need.name for need in needs if need.sleep_level}
    return {card.index: card.usable_gib - taken(card, placements, sleepers) for card in cards}


def taken(card: Card, placements: Sequence[Placement], sleepers: set[str]) -> float:
    """What engines take of a card while the largest of those that take turns there is loaded."""
    here = [p for p in placements if card.index in p.cards]
    resident = sum(p.gib for p in here if p.resident)
    turns = [p for p in here if not p.resident]
    asleep = {p.engine: ASLEEP_GIB for p in turns if p.engine in sleepers}
    awake = max((p.gib - asleep.get(p.engine, 0.0) for p in turns), default=0.0)
    return resident + sum(asleep.values()) + awake


def largest_b(usable_gib: Sequence[float]) -> float:
    """About how many billions of 16-bit parameters fit on cards, with a GiB of KV cache on each."""
    left = min(usable_gib) - OVERHEAD_GIB - 1.0
    return max(0.0, left * len(usable_gib) * GIB / 2 / 1e9)
