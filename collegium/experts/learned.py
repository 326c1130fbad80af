"""Capabilities that experts' refusals have shown to be missing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping

from collegium.registry.capabilities import takes
from collegium.registry.expert import Expert

MOST_HELD = 10_000
LEARNED_FOR_S = 3600.0
"""Seconds for which a refusal is remembered: a provider may change its model, a probe may correct
it.
"""


class Learned:
    """Capabilities that experts turned out to lack for a caller, in memory.

    The refusal may be due to what this caller sends, so the expert is still used for other callers.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._until: dict[tuple[str, str], dict[str, tuple[int, float]]] = {}

    def note_refusal(self, expert: Expert, capability: str, caller: str = "") -> None:
        """Remember that an expert refused a caller's request because it lacks an ability.

        Of an ability that it is known to have nothing is learned.
        """
        if takes(expert, capability) is not None:
            return
        if len(self._until) >= MOST_HELD:
            self._until.clear()
        lacking = self._until.setdefault((caller, expert.name), {})
        lacking[capability] = expert.version, self._now() + LEARNED_FOR_S

    def lacking(self, experts: Iterable[Expert], caller: str = "") -> Mapping[str, frozenset[str]]:
        """Return what experts lack according to their refusals, by name; changed experts are
        omitted.

        Empty, as it is nearly always, where nobody lacks anything.
        """
        if not self._until:
            return {}
        found = {expert.name: self._lacks(expert, caller) for expert in experts}
        return {name: lacks for name, lacks in found.items() if lacks}

    def _lacks(self, expert: Expert, caller: str) -> frozenset[str]:
        now = self._now()
        return frozenset(
            capability
            for capability, (version, until) in self._until.get((caller, expert.name), {}).items()
            if now < until and version == expert.version
        )
