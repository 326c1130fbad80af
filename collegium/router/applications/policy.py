"""The policy of an application, and its effect on a query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from collegium.errors import NoFeasibleExpert
from collegium.registry.expert import Expert
from collegium.router.decision import Limits, Query
from collegium.router.rules import NO_RULES, Rules

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
    require: Rules = NO_RULES
    """Required labels of experts: location, licence, data classes."""
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
        return cls(**given | {"require": Rules.of(given.get("require"))})

    def permits(self, expert: Expert) -> bool:
        """Whether an application's requests may go to an expert."""
        return self._names(expert) and not self.rules.broken_by(expert)

    @property
    def rules(self) -> Rules:
        """Return the rules that experts must satisfy."""
        return replace(self.require, tags=(*self.required_tags, *self.require.tags))

    def _names(self, expert: Expert) -> bool:
        """Whether the lists of names permit an expert."""
        allow = self.experts_allow
        return (allow is None or expert.name in allow) and expert.name not in self.experts_deny

    @property
    def restricts(self) -> bool:
        """Whether it excludes experts."""
        named = self.experts_allow is not None or bool(self.experts_deny)
        return named or self.rules != NO_RULES

    def applied(self, query: Query, experts: Sequence[Expert]) -> Query:
        """Apply the application's rules to a query; raise NoFeasibleExpert if no expert remains."""
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
        excluded = {e.name: self.rules.broken_by(e) for e in experts if not self.permits(e)}
        if query.requested_model in excluded:
            raise NoFeasibleExpert(
                f"The policy of application '{query.application}' excludes the expert "
                f"'{query.requested_model}'{_because(excluded[query.requested_model])}",
                "model",
            )
        denied = {e.name for e in experts if not self._names(e)}.union(limits.experts_deny)
        asked = limits.experts_allow
        left = [
            e.name
            for e in experts
            if e.enabled
            and e.name not in denied.union(excluded)
            and (asked is None or e.name in asked)
        ]
        if experts and not left:
            told = "; ".join(f"{name} {why}" for name, why in excluded.items() if why)
            raise NoFeasibleExpert(
                f"The policy of application '{query.application}' leaves no expert that this "
                f"request may be sent to{f': {told}' if told else ''}",
                "routing",
            )
        require = limits.require.and_(self.rules)
        return replace(limits, experts_deny=tuple(sorted(denied)), require=require)


def _because(rule: str) -> str:
    return f", as it {rule}" if rule else ""
