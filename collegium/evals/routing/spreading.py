"""How a router distributes prompts over models, and whether it collapses to one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from collegium.evals.core.arrays import Ints

# A router that sends nine prompts in ten to one expert makes the others idle: look at it.
COLLAPSED = 0.9


@dataclass(frozen=True)
class Spread:
    """How the router spreads prompts over the experts; `collapsed`: one gets nearly all."""

    shares: dict[str, float]
    top_expert: str
    top_share: float
    entropy_bits: float
    most_entropy_bits: float
    collapsed: bool


def spread(experts: Sequence[str], chosen: Ints) -> Spread:
    """Return each expert's share of the prompts, its entropy and whether the router collapsed."""
    shares = np.bincount(chosen, minlength=len(experts)) / len(chosen)
    used = shares[shares > 0]
    top = int(shares.argmax())
    return Spread(
        shares=dict(zip(experts, shares.tolist(), strict=True)),
        top_expert=experts[top],
        top_share=float(shares[top]),
        entropy_bits=float(-(used * np.log2(used)).sum()) + 0.0,  # no -0.0
        most_entropy_bits=float(np.log2(len(experts))),
        collapsed=len(experts) > 1 and bool(shares[top] > COLLAPSED),
    )
