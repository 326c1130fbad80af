"""The kernels' goals (issue 6), one thread on the layer `goals`, judged by what was measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from collegium.evals.kernel_contenders import HALF, OURS
from collegium.evals.kernel_timings import Probe, Scaling, Timing

LAYER = "goals"
TIMES = (  # format, tokens, contenders of whom the best counts, times ours at least
    ("bf16", 256, ("vllm",), 2.4),
    ("bf16", 256, ("zentorch",), 1.05),
    ("int8", 256, ("sglang", "zentorch"), 1.1),
    ("int4", 1, ("sglang",), 1 / 0.75),
    ("fp8", 256, ("sglang",), 1.3),
)


@dataclass(frozen=True)
class Goal:
    """What was promised, and whether it holds here and now."""

    what: str
    limit: float
    found: float

    @property
    def met(self) -> bool:
        """At least the limit."""
        return self.found >= self.limit


def goals(
    timings: Sequence[Timing], probes: Iterable[Probe], scalings: Iterable[Scaling]
) -> tuple[Goal, ...]:
    """Those whose figures are there."""
    cells = {(t.format, t.tokens, t.contender): t for t in timings if t.shape == LAYER}
    found = []
    for form, tokens, names, limit in TIMES:
        there = [cells[form, tokens, n].ratio for n in names if (form, tokens, n) in cells]
        if there:
            what = f"{form}, {tokens} tokens: times {' or '.join(names)}"
            found.append(Goal(what, limit, min(there)))
    read = [
        p.read_gigabytes_s for p in probes if (p.shape, p.format, p.tokens) == (LAYER, "bf16", 1)
    ]
    if read:
        share = cells["bf16", 1, OURS].gigabytes_s / read[0]
        found.append(Goal("bf16, 1 token: share of the read probe", 0.95, share))
        half = 1 / cells["bf16", 1, HALF].ratio
        found.append(Goal("bf16, 1 token: times as fast with half of the slots", 1.8, half))
    found += [
        Goal(f"{s.format}, {s.tokens} tokens: times as fast on 2 threads", 1.9, s.ratio)
        for s in scalings
        if (s.shape, s.tokens, s.threads, s.to) == (LAYER, 256, 1, 2)
    ]
    return tuple(found)
