"""The results of `collegium bench kernels`: times, machine probes, speed-up by threads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Timing:
    """One contender on one batch size, over the rounds.

    `ratio` is its time over ours in the same round, the median; above 1 ours is faster. `spread`
    holds its quartiles. Rates count all slots and experts, also where half are skipped.
    """

    shape: str
    format: str
    tokens: int
    contender: str
    milliseconds: float
    ratio: float
    spread: tuple[float, float]
    gflops: float
    gigabytes_s: float


@dataclass(frozen=True)
class Probe:
    """Medians in the same loop: a read of memory, and a bfloat16 product of square matrices."""

    shape: str
    format: str
    tokens: int
    read_gigabytes_s: float
    matmul_gflops: float


@dataclass(frozen=True)
class Scaling:
    """How many times as fast ours is on more threads, in turns: the median and quartiles."""

    shape: str
    format: str
    tokens: int
    threads: int
    to: int
    ratio: float
    spread: tuple[float, float]


def quartiles(
    ratios: np.ndarray[Any, np.dtype[np.float64]],
) -> tuple[float, tuple[float, float]]:
    """The median, and the lower and the upper quartile."""
    low, middle, high = np.percentile(ratios, [25, 50, 75])
    return float(middle), (float(low), float(high))
