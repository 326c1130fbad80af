"""Reductions of quality forecasts by open alarms, applied to every decision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from collegium.registry.learning.alarms import Alarm


class Lowered:
    """The current reduction of each expert's forecasts."""

    def __init__(self) -> None:
        self.by_expert: Mapping[str, float] = {}

    def follow(self, open_alarms: Sequence[Alarm]) -> None:
        """Take over the open alarms: of several of an expert the one that lowers most counts."""
        found: dict[str, float] = {}
        for alarm in open_alarms:
            if alarm.expert is not None and alarm.lowered > 0:
                found[alarm.expert] = max(found.get(alarm.expert, 0.0), alarm.lowered)
        self.by_expert = found
