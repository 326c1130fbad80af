"""The limits that apply to a request: those of its key, its team and its application."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from urllib.parse import quote

from collegium.registry.budgets.limits import EACH, Limit, Scope, span
from collegium.registry.key import Caller

Name = tuple[Scope, str]
LATE_S = 3600.0
"""How long a window's counters are kept after its end, for requests that end then."""


class LimitsInForce:
    """The operator's limits and the budgets in applications' policies, found by name."""

    def __init__(self) -> None:
        self._limits: Mapping[Name, tuple[Limit, ...]] = {}
        self._policies: dict[str, Limit] = {}
        self._found: dict[tuple[Name, ...], tuple[Limit, ...]] = {}

    def put(self, limits: Iterable[Limit]) -> None:
        """Take the place of what the operator had set before."""
        found: dict[Name, list[Limit]] = defaultdict(list)
        for limit in limits:
            found[limit.scope, limit.name].append(limit)
        self._limits = {name: tuple(those) for name, those in found.items()}
        self._found.clear()

    def policy(self, application: str, limit: Limit | None) -> bool:
        """Take the budget of an application's policy; say whether it is another one than before."""
        if self._policies.get(application) == limit:
            return False
        self._policies.pop(application, None)
        if limit is not None:
            self._policies[application] = limit
        self._found.clear()
        return True

    def given(self) -> list[Limit]:
        """What the operator has set."""
        return [limit for those in self._limits.values() for limit in those]

    def policies(self) -> Mapping[str, Limit]:
        """The budgets of applications' policies."""
        return self._policies

    @property
    def exist(self) -> bool:
        """Whether there is any limit, for whomever."""
        return bool(self._limits or self._policies)

    def of(self, names: tuple[Name, ...]) -> tuple[Limit, ...]:
        """All limits of a request; one for `EACH` applies only if there is no specific one."""
        if not self.exist:
            return ()
        found = self._found.get(names)
        if found is None:
            if len(self._found) > 10_000:
                self._found.clear()
            found = self._found[names] = tuple(limit for name in names for limit in self._of(name))
        return found

    def _of(self, name: Name) -> Iterable[Limit]:
        scope, called = name
        own = {(limit.metric, limit.window): limit for limit in self._limits.get(name, ())}
        if scope == "application" and (policy := self._policies.get(called)) is not None:
            own.setdefault((policy.metric, policy.window), policy)
        each = {
            (limit.metric, limit.window): replace(limit, name=called)
            for limit in self._limits.get((scope, EACH), ())
        }
        return (each | own).values()


def names_of(caller: Caller, application: str | None = None) -> tuple[Name, ...]:
    """Return the subjects whose limits apply to a request; the operator has none."""
    named: tuple[tuple[Scope, str | None], ...] = (
        ("key", caller.owner),
        ("team", caller.team),
        ("application", application),
    )
    return tuple((scope, name) for scope, name in named if name)


def span_of(limit: Limit, now: datetime) -> tuple[datetime, datetime | None]:
    """Return the start and end of the open window; None for no end."""
    return span(limit.window or "total", now)


def counter_of(limit: Limit, now: datetime) -> str:
    """The name of the counter that a limit has in the window that is open."""
    start = int(1000 * span_of(limit, now)[0].timestamp())
    return f"{limit.scope}:{quote(limit.name, safe='')}:{limit.metric}:{limit.window}:{start}"


def metric_of(counter: str) -> str:
    """Return the metric of a counter."""
    return counter.rsplit(":", 3)[1]


def expires_s(limit: Limit, now: datetime) -> float | None:
    """Return how many seconds the window's counter is needed."""
    ends = span_of(limit, now)[1]
    return None if ends is None else (ends - now).total_seconds() + LATE_S
