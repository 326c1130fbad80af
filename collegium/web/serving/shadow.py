"""Let a router in shadow mode decide every routed request, too."""

from __future__ import annotations

import logging

from collegium.errors import CollegiumError
from collegium.registry.background import Background
from collegium.registry.decisions.log import DecisionLog
from collegium.router.virtual_models import VIRTUAL_MODELS
from collegium.web.serving.current_router import CurrentRouter
from collegium.web.serving.decide import Decided, Decider

log = logging.getLogger(__name__)
AT_ONCE = 16
"""Further requests under way are decided by the serving router alone."""


class Shadow:
    """Records with each decision what the other router would have decided."""

    def __init__(
        self, router: CurrentRouter, decider: Decider, decisions: DecisionLog, work: Background
    ) -> None:
        self._router = router
        self._decider = decider
        self._log = decisions
        self._work = work
        self._busy = 0

    def follow(self, decided: Decided) -> None:
        """Decide a request once more in the background, without delaying the answer."""
        routed = decided.decision.requested_model in VIRTUAL_MODELS and decided.plan is None
        if self._router.shadow is not None and routed and self._busy < AT_ONCE:
            self._busy += 1
            self._work.spawn(self._decide(decided))

    async def _decide(self, decided: Decided) -> None:
        try:
            found = await self._decider.in_shadow(decided)
            if found is not None:
                shadow = {
                    "router": found.router,
                    "expert": found.expert,
                    "quality": found.forecast.quality,
                    "cost_usd": found.forecast.cost_usd,
                }
                await self._log.shadowed(decided.decision.id, shadow)
        except CollegiumError as exc:
            log.info("no shadow of decision %s: %s", decided.decision.id, exc)
        finally:
            self._busy -= 1
