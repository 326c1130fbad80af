"""Which model each upstream says that it is: a name that changes may be another model."""

from __future__ import annotations

import logging

from collegium.errors import CollegiumError
from collegium.registry.alarms import Alarm, AlarmRegistry
from collegium.registry.expert import Expert
from collegium.registry.watching import WatchRegistry
from collegium.router.forecasting import fingerprint
from collegium.web.serving.background import Background
from collegium.web.watching.sounding import sound

log = logging.getLogger(__name__)
LOWERED = 0.05
"""What an expert's forecasts are lowered by until somebody looks: marks were another model's."""
LONGEST_NAME = 200


class UpstreamModels:
    """Compares what upstreams say with what they said before, in all replicas together."""

    def __init__(
        self, registry: WatchRegistry, alarms: AlarmRegistry, background: Background
    ) -> None:
        self._registry = registry
        self._alarms = alarms
        self._background = background
        self._known: dict[str, tuple[Expert, str]] = {}

    def saw(self, expert: Expert, model: str | None) -> None:
        """Take note of a model's name; costs nothing where it is the same as before."""
        known = self._known.get(expert.name)
        if model is None or (known is not None and known[0] is expert and known[1] == model):
            return
        self._known[expert.name] = (expert, model)
        shown = "".join(c for c in model[:LONGEST_NAME] if c.isprintable())
        self._background.spawn(self._compare(expert, shown))

    async def _compare(self, expert: Expert, model: str) -> None:
        weights = fingerprint(expert)
        try:
            before = await self._registry.upstream(expert.name)
            if before == (weights, model):
                return
            await self._registry.said(expert.name, weights, model)
            if before is not None and before[0] == weights:  # else it was registered anew
                await sound(self._alarms, _changed(expert.name, before[1], model))
        except CollegiumError as exc:
            self._known.pop(expert.name, None)
            log.warning("the model of %s can't be compared: %s", expert.name, exc)


def _changed(expert: str, before: str, now: str) -> Alarm:
    return Alarm(
        "model_changed",
        f"the upstream of {expert} says that it is '{now}'; before it was '{before}'. Its marks "
        "may be another model's: close this alarm if it is the same model, else learn anew",
        expert=expert,
        lowered=LOWERED,
        evidence={"before": before, "now": now},
    )
