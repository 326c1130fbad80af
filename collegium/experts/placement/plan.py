"""Cards, the needs of engines, and the plan that assigns engines to cards.

Memory is in GiB. An engine of tensor-parallel degree t takes the same amount of each of its t
cards, which are of one kind. It is either *resident* (always loaded) or *takes turns*. Of the
engines that take turns on a card only one is loaded at a time, and the largest of them has to fit
beside the resident ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from collegium.experts.checkpoint import GIB, Checkpoint

USABLE = 0.92
"""The part of a card's memory that engines may fill: vLLM's own default for one engine."""
OVERHEAD_GIB = 2.5
"""Memory of an engine on each card besides weights and KV cache: CUDA context, activations, CUDA
graphs. This is an assumption, made without a GPU; `scripts/gpu-check` measures it."""
ASLEEP_GIB = 1.0
"""Memory of a sleeping engine on each card (its CUDA context); assumed, like OVERHEAD_GIB."""


@dataclass(frozen=True)
class Card:
    """One GPU."""

    index: int
    memory_gib: float
    kind: str = ""

    @property
    def usable_gib(self) -> float:
        """The memory that engines may use."""
        return USABLE * self.memory_gib


@dataclass(frozen=True)
class Need:
    """The requirements of one engine, independent of its cards."""

    name: str
    checkpoint: Checkpoint
    sequences: int = 32
    """Number of requests that it runs at once."""
    context: int = 2048
    """Tokens of the KV cache that each request may use."""
    fill: float = 1.0
    """The share of `sequences` times `context` that fits into the KV cache; at least one whole
    context."""
    kv_floor_gib: float = 0.0
    """Minimum size of the KV cache, over all cards."""
    requests_per_minute: float = 0.0
    active: float = 1.0
    """The share of its weights that a token uses; below 1 for a sparse model."""
    loras: int = 0
    """Adapters computed in one batch."""
    lora_rank: int = 16
    always: bool = False
    """Whether it has to stay loaded."""
    sleep_level: int = 0
    cards: tuple[int, ...] | None = None
    """The cards that it has to run on, in this order; None for any."""
    degree: int | None = None
    """Its tensor-parallel degree; None for the best one."""
    now: tuple[int, ...] = ()
    """The cards that it runs on now."""
    kept: bool = False
    """Whether it is running, so that every plan has to place it."""

    def kv_gib_on(self, degree: int) -> float:
        """Return the size of its KV cache on each of `degree` cards."""
        tokens = self.context * max(1.0, self.sequences * self.fill)
        return max(tokens * self.checkpoint.kv_bytes(degree) / GIB, self.kv_floor_gib / degree)

    def gib_on(self, degree: int) -> float:
        """Return the memory that it needs on each of `degree` cards."""
        loras = self.loras * self.checkpoint.lora_bytes(self.lora_rank) / GIB
        shared = (self.checkpoint.weights_gib + loras) / degree
        return shared + self.kv_gib_on(degree) + OVERHEAD_GIB

    def degrees(self, most: int) -> tuple[int, ...]:
        """Return its possible tensor-parallel degrees, which divide its attention heads.

        vLLM also requires that the degree divides the KV heads, or that they divide the degree.
        """
        heads, kv = self.checkpoint.heads, self.checkpoint.kv_heads
        if self.cards is not None and self.degree in (None, len(self.cards)):
            wanted: Sequence[int] = (len(self.cards),)
        else:
            wanted = range(1, most + 1) if self.degree is None else (self.degree,)
        split = (t for t in wanted if t <= most and heads % t == 0)
        return tuple(t for t in split if kv % t == 0 or t % kv == 0)

    def work_on(self, degree: int) -> float:
        """Return the work on each of its cards, in GiB of weights per minute."""
        return self.requests_per_minute * self.active * self.checkpoint.weights_gib / degree

    @property
    def weight(self) -> float:
        """Return its weight in the goals: at least 1, even if it has hardly any requests."""
        return 1.0 + self.requests_per_minute


@dataclass(frozen=True)
class Placement:
    """Where one engine goes."""

    engine: str
    cards: tuple[int, ...]
    gib: float
    """Memory on each of its cards."""
    kv_gib: float
    """The part of `gib` that is its KV cache."""
    utilization: float
    """`--gpu-memory-utilization`: `gib` as a share of a card."""
    resident: bool = True

    @property
    def device(self) -> str:
        """As in CUDA_VISIBLE_DEVICES."""
        return ",".join(map(str, self.cards))


@dataclass(frozen=True)
class Plan:
    """All placements, the memory that is left, and the engines that did not fit."""

    placements: tuple[Placement, ...]
    left_gib: dict[int, float]
    """Free usable memory of each card while the largest engine that takes turns there is loaded."""
    unplaced: dict[str, str] = field(default_factory=dict)
    """Engines that did not fit, and why."""
    moved: tuple[str, ...] = ()
    """Engines that run on other cards now and have to be restarted."""
    optimal: bool = True
    """Whether the solver proved within its time limit that no plan is better."""

    def of(self, engine: str) -> Placement | None:
        """Return an engine's placement; None if it has none."""
        return next((p for p in self.placements if p.engine == engine), None)


def placement(need: Need, cards: Sequence[Card], *, resident: bool) -> Placement:
    """Place an engine on these cards, which are of one kind."""
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
    """Return a share of a card, rounded down to a hundredth of a per cent."""
    return int(gib / card.memory_gib * 10_000) / 10_000


def left_by(
    placements: Sequence[Placement], needs: Sequence[Need], cards: Sequence[Card]
) -> dict[int, float]:
    """Return the usable memory that is left on each card."""
    sleepers = {need.name for need in needs if need.sleep_level}
    return {card.index: card.usable_gib - taken(card, placements, sleepers) for card in cards}


def taken(card: Card, placements: Sequence[Placement], sleepers: set[str]) -> float:
    """Return the memory that engines use on a card while the largest that takes turns is loaded."""
    here = [p for p in placements if card.index in p.cards]
    resident = sum(p.gib for p in here if p.resident)
    turns = [p for p in here if not p.resident]
    asleep = {p.engine: ASLEEP_GIB for p in turns if p.engine in sleepers}
    awake = max((p.gib - asleep.get(p.engine, 0.0) for p in turns), default=0.0)
    return resident + sum(asleep.values()) + awake


def largest_b(usable_gib: Sequence[float]) -> float:
    """Return roughly how many billion 16-bit parameters fit beside 1 GiB of KV cache per card."""
    left = min(usable_gib) - OVERHEAD_GIB - 1.0
    return max(0.0, left * len(usable_gib) * GIB / 2 / 1e9)
