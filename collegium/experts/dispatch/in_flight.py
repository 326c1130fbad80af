"""The number of answers in progress, used by both forecasts and metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from collegium.registry.expert import Expert


class InFlight:
    """Answers from when they are wanted until they end, waiting for a turn included."""

    def __init__(self) -> None:
        self._experts: Counter[str] = Counter()
        self._places: Counter[str] = Counter()

    @contextmanager
    def answering(self, expert: Expert) -> Iterator[int]:
        """Count one answer; yields how many others its place makes already."""
        place = place_of(expert)
        before = self._places[place]
        self._experts[expert.name] += 1
        self._places[place] += 1
        try:
            yield before
        finally:
            self._experts[expert.name] -= 1
            self._places[place] -= 1

    def load(self, expert: Expert) -> int:
        """Return the number of answers in progress at the expert's place."""
        return self._places[place_of(expert)]

    def by_expert(self) -> Mapping[str, int]:
        """Return the number of answers in progress by expert."""
        return self._experts


def place_of(expert: Expert) -> str:
    """Return what answers share: an engine, an address, or the expert alone."""
    return expert.engine or expert.base_url or expert.origin
