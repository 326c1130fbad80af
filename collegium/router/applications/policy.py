"""What a person sets for an application's requests, and what that makes of a query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from collegium.errors import NoFeasibleExpert
from collegium.registry.expert import Expert
from collegium.router.decision import Limits, Query

ROUTED_BY_QUALITY = ("auto", "collegium/auto")
"""Models whose trade-off is the application's to say; other names say it themselves."""


@dataclass(frozen=True)
class Policy:
    """Rules of an application; what is None or empty rules nothing.

    A request can narrow what its application allows, never widen it.
    """

    tradeoff: float | None = None
    experts_allow: tuple[str, ...] | None = None
    experts_deny: tuple[str, ...] = ()
    required_tags: tuple[str, ...] = ()
    max_cost_usd: float | None = None
    budget_usd: float | None = None
    budget_window_s: float | None = None

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> Policy:
        """The policy as it is kept; what another version wrote beside it is passed over."""
        names = {field.name for field in fields(cls)}
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in kept.items()
            if name in names
        }
        return cls(**given)

    def permits(self, expert: Expert) -> bool:
        """Whether an application's requests may go to an expert."""
        tags: Sequence[str] = getattr(expert, "tags", ())
        return (
            (self.experts_allow is None or expert.name in self.experts_allow)
            and expert.name not in self.experts_deny
            and set(self.required_tags) <= set(tags)
        )

    @property
    def restricts(self) -> bool:
        """Whether it excludes experts."""
        return bool(self.experts_allow is not None or self.experts_deny or self.required_tags)

    def applied(self, query: Query, experts: Sequence[Expert]) -> Query:
        """The query with the application's rules; NoFeasibleExpert where they leave nobody."""
        limits = query.limits
        tradeoff = limits.tradeoff
        if tradeoff is None and query.requested_model in ROUTED_BY_QUALITY:
            tradeoff = self.tradeoff
        costs = [c for c in (limits.max_cost_usd, self.max_cost_usd) if c is not None]
        limits = replace(limits, tradeoff=tradeoff, max_cost_usd=min(costs, default=None))
        if self.restricts:
            limits = self._restricted(query, limits, experts)
        return replace(query, limits=limits)

    def _restricted(self, query: Query, limits: Limits, experts: Sequence[Expert]) -> Limits:
        excluded = {e.name for e in experts if not self.permits(e)}
        if query.requested_model in excluded:
            raise NoFeasibleExpert(
                f"The policy of application '{query.application}' excludes the expert "
                f"'{query.requested_model}'",
                "model",
            )
        denied = excluded.union(limits.experts_deny)
        asked = limits.experts_allow
        left = [
            e.name
            for e in experts
            if e.enabled and e.name not in denied and (asked is None or e.name in asked)
        ]
        if experts and not left:
            raise NoFeasibleExpert(
                f"The policy of application '{query.application}' leaves no expert that the "
                "request may be sent to",
                "routing",
            )
        return replace(limits, experts_deny=tuple(sorted(denied)))
