"""Choose the prompts to replay: a share of each application, including rare ones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np


def sample(applications: Sequence[str | None], most: int, *, seed: int = 0) -> list[int]:
    """Return the numbers of at most `most` prompts, in the order in which they are asked.

    Each application gets a share by the root of its size: what a mark teaches of an application
    falls as 1/n, so that equal shares of the traffic would starve the small ones. Applications
    alternate, so that a run that ends early has asked of all of them.
    """
    random = np.random.default_rng(seed)
    groups: dict[str | None, list[int]] = defaultdict(list)
    for number in random.permutation(len(applications)):
        groups[applications[number]].append(int(number))
    weights = {name: len(rows) ** 0.5 for name, rows in groups.items()}
    total = sum(weights.values())
    order = []
    for name, rows in groups.items():
        step = total / weights[name]
        # The k-th prompt of a group is due after k of its steps.
        order += [((k + random.random()) * step, row) for k, row in enumerate(rows)]
    return [row for _, row in sorted(order)[:most]]
