"""Recognise each request's application, apply its policy, and store what is known of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from collegium.errors import CollegiumError
from collegium.registry.application import Application
from collegium.registry.applications import ApplicationRegistry
from collegium.registry.background import Repeating
from collegium.registry.expert import Expert
from collegium.router.applications.policy import Policy
from collegium.router.applications.resolver import MOST, Applications
from collegium.router.decision import Query
from collegium.router.virtual_models import VIRTUAL_MODELS
from collegium.web.protocols.chat_request import panel_models

log = logging.getLogger(__name__)
EVERY_S = 10.0
"""Seconds between two writes; a crash loses at most this much, and replicas lag by as much."""
AT_ONCE = 200
"""Applications that are taken over between two requests: 0.1 ms each."""
OVERLAP = timedelta(seconds=60)
"""Rows are read again if they changed so shortly before the last reading: clocks differ."""


class FollowsPolicies(Protocol):
    """Keeps the budgets of applications' policies."""

    async def follow(
        self,
        policies: Mapping[str, Mapping[str, Any]],
        regrouped: Iterable[str],
        members: Callable[[str], Sequence[str]],
    ) -> None:
        """Take over policies by key; `members` are the applications that count for one."""


async def _as_it_is(text: str) -> str:
    return text


class Recognition:
    """The applications in memory, synchronised with the registry, which all replicas change."""

    def __init__(
        self,
        registry: ApplicationRegistry,
        applications: Applications | None = None,
        *,
        budgets: FollowsPolicies | None = None,
        keep_text: Callable[[str], Awaitable[str | None]] = _as_it_is,
    ) -> None:
        self.applications = Applications() if applications is None else applications
        self._registry = registry
        self._budgets = budgets
        self._keep_text = keep_text
        self._texts: dict[str, str] = {}
        """Texts that may be stored: written with the first count of their application."""
        self._merged: dict[str, str] = {}
        self._policies: dict[str, Policy] = {}
        self._read_at: datetime | None = None
        self._writing = asyncio.Lock()
        self._loop = Repeating(
            self.synchronise,
            EVERY_S,
            name="applications",
            failing="applications are not kept for now",
        )

    def recognised(self, query: Query, experts: Sequence[Expert]) -> Query:
        """The query with its application, whose policy is applied; NoFeasibleExpert, as that."""
        if query.application is None:
            query = replace(query, application=self.applications.of(query.signals))
        policy = self.policy_of(query.application)
        return query if policy is None else policy.applied(query, experts)

    def permitted(self, query: Query, experts: Sequence[Expert]) -> Sequence[Expert]:
        """Return the experts that the router may see: of a named expert's stand-ins only permitted
        ones.
        """
        policy = self.policy_of(query.application)
        routed = query.requested_model in VIRTUAL_MODELS or query.requested_model in panel_models()
        if policy is None or routed or not policy.restricts:
            return experts
        return [expert for expert in experts if policy.permits(expert)]

    def know(self, applications: Sequence[Application]) -> None:
        """Take over the applications of a router's marks; of known ones nothing changes."""
        self.applications.load(a for a in applications if self.applications.get(a.key) is None)

    async def open(self) -> None:
        """Take over the applications that the registry has, and keep both alike from then on."""
        await self.read()
        self._loop.start()

    async def read(self) -> None:
        """Take over the applications that the registry has, the latest ones."""
        await self._follow(limit=2 * MOST)

    async def synchronise(self) -> None:
        """Write what was seen since the last time, and read the changes of other replicas."""
        async with self._writing:
            await self._keep()
            await self._follow()

    async def close(self) -> None:
        """Write what was seen since the last time."""
        async with self._writing:  # what is being written or read comes to its end
            await self._loop.close()
            try:
                await self._keep()
            except CollegiumError as exc:
                log.warning("the applications of the last seconds are lost: %s", exc)

    async def change(self, key: str, **changes: Any) -> Application:
        """Write what a person decided about an application; it counts from the next request on."""
        await self.synchronise()
        changed = await self._registry.change(key, **changes)
        await self._take((changed,))
        return changed

    async def declare(self, application: Application) -> None:
        """Store an application before its first request."""
        await self._registry.keep((application,))

    async def all(self) -> tuple[Application, ...]:
        """Return all applications with the requests of all replicas, the most used first."""
        await self.synchronise()
        found = await self._registry.list(signatures=False)
        return tuple(sorted(found, key=lambda a: (-a.seen, a.key)))

    async def get(self, key: str) -> Application:
        """Return one application; raise ApplicationNotFound if there is none."""
        await self.synchronise()
        return await self._registry.get(key)

    def policy_of(self, application: str | None) -> Policy | None:
        """Return an application's policy; None if none is set."""
        return None if application is None else self._policies.get(application)

    async def _keep(self) -> None:
        changed, forgotten = self.applications.changed(), self.applications.forgotten()
        kept = [replace(each, text=await self._kept_text(each)) for each in changed]
        try:
            await self._registry.keep(kept)
        except CollegiumError:
            self.applications.unsaved(changed)
            raise
        await self._registry.remove(forgotten)

    async def _kept_text(self, application: Application) -> str:
        """Return the beginning of a system prompt, redacted: it may contain what a user wrote."""
        if not application.text:
            return ""
        if application.key not in self._texts:
            if len(self._texts) >= 2 * MOST:
                self._texts.clear()
            self._texts[application.key] = await self._keep_text(application.text) or ""
        return self._texts[application.key]

    async def _follow(self, limit: int | None = None) -> None:
        now, since = datetime.now(UTC), self._read_at
        rows = await self._registry.list(
            since=None if since is None else since - OVERLAP, limit=limit
        )
        await self._take(rows)
        self._read_at = now

    async def _take(self, rows: Sequence[Application]) -> None:
        for row in rows:
            if row.policy:
                self._policies[row.key] = Policy.of(row.policy)
            else:
                self._policies.pop(row.key, None)
        for start in range(0, len(rows), AT_ONCE):
            self.applications.load(rows[start : start + AT_ONCE])
            await asyncio.sleep(0)
        await self._follow_budgets(rows)

    async def _follow_budgets(self, rows: Sequence[Application]) -> None:
        """Money that was spent before two applications were merged counts for both together."""
        if self._budgets is None:
            return
        final = self.applications.final
        regrouped: set[str] = set()
        for row in rows:
            before, now = self._merged.get(row.key), row.merged_into
            if before != now:
                regrouped |= {final(key) for key in (row.key, before, now) if key} | {row.key}
        for row in rows:
            if row.merged_into is None:
                self._merged.pop(row.key, None)
            else:
                self._merged[row.key] = row.merged_into
        policies = {row.key: row.policy for row in rows}
        await self._budgets.follow(policies, regrouped, self._counted_for)

    def _counted_for(self, application: str) -> Sequence[str]:
        """An application with those that were merged into it."""
        final = self.applications.final
        return (application, *(key for key in self._merged if final(key) == application))
