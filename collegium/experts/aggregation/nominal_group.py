"""The nominal group technique: independent answers, then agreed, disputed and single points.

After Multi-expert Prompting (Long et al., arXiv 2411.00492), with real experts for its personas.
"""

from __future__ import annotations

from collegium.experts.aggregation.catalogue import ModeKind
from collegium.experts.aggregation.synthesis import Synthesis

STEPS = (
    "Several experts have answered the user's last message without seeing each other. For "
    "yourself, in this order: list the points that most of them make; list the points on which "
    "they contradict each other and decide each on its merits; list the points that only one makes "
    "and keep those that are right. Then write one answer from what you kept. Compare it with each "
    "single answer and give the user the best of all of them, and nothing else: no lists of "
    "points, no mention of the experts. Keep to the form that the user asked for."
)


class NominalGroup(Synthesis):
    """The aggregator follows the technique's steps in one call."""

    name = "nominal_group"
    rules = STEPS


KIND = ModeKind(
    "Experts answer apart; agreed, disputed and single points are weighed",
    lambda _: NominalGroup(),
    combines=True,
)
