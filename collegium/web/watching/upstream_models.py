"""Detect when an upstream reports another model: the same name may then stand for another model."""

from __future__ import annotations

import logging

from collegium.errors import CollegiumError
from collegium.registry.background import Background
from collegium.registry.expert import Expert
from collegium.registry.learning.alarms import Alarm, AlarmRegistry
from collegium.registry.learning.watching import WatchRegistry
from collegium.router.forecasting import fingerprint

log = logging.getLogger(__name__)
LOWERED = 0.05
"""The reduction of forecasts until a person looks: the marks belong to another model."""
LONGEST_NAME = 200


class UpstreamModels:
    """Compares the models that upstreams report with earlier reports, across replicas."""

    def __init__(
        self, registry: WatchRegistry, alarms: AlarmRegistry, background: Background
    ) -> None:
        self._registry = registry
        self._alarms = alarms
        self._background = background
        self._known: dict[str, tuple[Expert, str]] = {}

    def saw(self, expert: Expert, model: str | None) -> None:
        """Note a reported model; free of cost if it hasn't changed."""
        known = self._known.get(expert.name)
        if model is None or (known is not None and known[0] is expert and known[1] == model):
            return
        self._known[expert.name] = (expert, model)
        shown = "".join(c for c in model[:LONGEST_NAME] if c.isprintable())
        self._background.spawn(self._compare(expert, shown))

    def gone(self, expert: Expert) -> None:
        """Raise an alarm: the upstream has no such model any more."""
        self._background.spawn(self._raise(_gone(expert)))

    async def _raise(self, alarm: Alarm) -> None:
        try:
            await self._alarms.raise_(alarm)
        except CollegiumError as exc:
            log.warning("no alarm can be raised for %s: %s", alarm.expert, exc)

    async def _compare(self, expert: Expert, model: str) -> None:
        weights = fingerprint(expert)
        try:
            before = await self._registry.upstream(expert.name)
            if before == (weights, model):
                return
            await self._registry.said(expert.name, weights, model)
            if before is not None and before[0] == weights:  # else it was registered anew
                await self._alarms.raise_(_changed(expert.name, before[1], model))
        except CollegiumError as exc:
            self._known.pop(expert.name, None)
            log.warning("the model of %s can't be compared: %s", expert.name, exc)


def _gone(expert: Expert) -> Alarm:
    return Alarm(
        "model_gone",
        f"the provider of {expert.name} has no model '{expert.model}' any more: register it anew "
        "with another model, or remove it; then close this alarm",
        expert=expert.name,
        evidence={"model": expert.model},
    )


def _changed(expert: str, before: str, now: str) -> Alarm:
    return Alarm(
        "model_changed",
        f"the upstream of {expert} says that it is '{now}'; before it was '{before}'. Its marks "
        "may be another model's: close this alarm if it is the same model, else learn anew",
        expert=expert,
        lowered=LOWERED,
        evidence={"before": before, "now": now},
    )
