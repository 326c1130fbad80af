"""Periodically write an engine's token statistics to a file for its operator."""

from __future__ import annotations

import atexit
import json
import os
import threading
from pathlib import Path
from typing import Any

import torch

from collegium.kernels.moe.statistics import LayerStatistics

EVERY_S = 1.0
MOST_PAIRS = 16  # of E * (E - 1) / 2: with 512 experts the whole would be megabytes a layer


class Recorder:
    """Adds up by layer, and writes beside the serving thread when something was added."""

    def __init__(self, path: Path, *, every_s: float = EVERY_S) -> None:
        self._path = path
        self._every_s = every_s
        self._layers: dict[int, LayerStatistics] = {}
        self._written = -1
        self._writing = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="token statistics", daemon=True)

    def layer(
        self, number: int, experts: int, device: torch.device | str = "cpu"
    ) -> LayerStatistics:
        """The sums of one layer, zero at first; the file begins anew."""
        self._layers[number] = LayerStatistics(experts, device)
        self._written = -1
        if not self._thread.is_alive():
            self._thread.start()
            atexit.register(self.write)
        return self._layers[number]

    def write(self) -> None:
        """Write what there is, in one step, so that a reader never sees half of it."""
        with self._writing:
            layers = [summary(n, stats.report()) for n, stats in sorted(self._layers.items())]
            self._path.parent.mkdir(parents=True, exist_ok=True)
            half = self._path.with_suffix(".half")
            half.write_text(json.dumps({"layers": layers}))
            os.replace(half, self._path)

    def _run(self) -> None:
        while True:
            tokens = sum(stats.tokens for stats in list(self._layers.values()))
            if tokens != self._written:
                self.write()
                self._written = tokens
            threading.Event().wait(self._every_s)


def summary(number: int, report: dict[str, Any]) -> dict[str, Any]:
    """A layer's report with the pairs of experts that share most tokens, [one, other, tokens]."""
    together = report.pop("co_activation")
    pairs = [
        [one, other, count]
        for one, row in enumerate(together)
        for other, count in enumerate(row)
        if one < other and count
    ]
    best = sorted(pairs, key=lambda pair: -pair[2])[:MOST_PAIRS]
    return {"layer": number, **report, "pairs": best}
