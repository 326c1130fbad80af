"""How many replicas an engine should have, by the requests that run and wait."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

UP_AFTER_S = 2.0
"""How long a queue must last for another replica to start."""


@dataclass(frozen=True)
class Bounds:
    """The least and the most replicas, and how long one must not be needed to be ended."""

    least: int = 1
    most: int = 1
    idle_s: float = 300.0


class Scaling:
    """Follows the demand of a window of time, as Kubernetes' autoscaler does.

    It grows to what was needed at every moment of the last `UP_AFTER_S`, and shrinks to the most
    that was needed at any moment of the last `idle_s`.
    """

    def __init__(self, bounds: Bounds, slots: int) -> None:
        self.bounds = bounds
        self._slots = slots
        """Requests that one replica runs at once."""
        self._seen: deque[tuple[float, int]] = deque()

    def wanted(self, now: float, requests: int, running: int) -> int:
        """The number of replicas to have, given the requests that run and wait now."""
        bounds = self.bounds
        needed = min(max(math.ceil(requests / self._slots), bounds.least), bounds.most)
        self._seen.append((now, needed))
        while len(self._seen) > 1 and self._seen[1][0] <= now - max(bounds.idle_s, UP_AFTER_S):
            self._seen.popleft()
        lately = min(self._since(now - UP_AFTER_S))
        if lately > running:
            return lately
        return min(running, max(self._since(now - bounds.idle_s)))

    def _since(self, moment: float) -> list[int]:
        """What was needed from a moment on; what held when it came counts, too."""
        found: list[int] = []
        for at, needed in reversed(self._seen):
            found.append(needed)
            if at <= moment:
                return found
        return [*found, self.bounds.least]  # it has not been watched for so long
