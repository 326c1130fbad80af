"""Run what a GPU would run, in Triton's interpreter: it prints JSON of what came out."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import torch

from collegium.evals.bench.kernels.contenders import OURS, Others
from collegium.evals.bench.kernels.cuda import contenders
from collegium.evals.bench.kernels.layers import Shape, batch
from collegium.evals.bench.kernels.tuning import tuned
from collegium.kernels.moe.triton_tiles import TILES

SMALL = Shape("small", 3, 32, 16, 2)


def main() -> None:
    """Compare the contenders, and tune with a clock that runs slower at every call."""
    given = batch(SMALL, 5, torch.Generator().manual_seed(1))
    runs = dict(contenders(SMALL, Others(), "cpu", interpreted=True))
    ours, grouped = (runs[name](given).float() for name in (OURS, "torch grouped_mm"))
    calls = 0

    def slower_each_time(call: Callable[[], Any]) -> float:
        nonlocal calls
        calls += 1
        call()
        return float(calls)

    layer, found = tuned(SMALL, slower_each_time, [given], candidates=TILES[:2], rounds=1)
    told = {
        "contenders": list(runs),
        "difference": float((ours - grouped).norm() / grouped.norm()),
        "best": str(min(found, key=found.__getitem__)),
        "measured": len(found),
        "layer": layer.key,
    }
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()
