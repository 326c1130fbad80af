"""Responses of the last hour, in memory, for tool loops if the database stores none.

The Vercel AI SDK, for one, refers to the items of the response before by default.
"""

from __future__ import annotations

import time
from collections import OrderedDict, defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable

from collegium.registry.decisions.responses import ResponseRecord
from collegium.registry.storage.pages import Scope

MOST_BYTES = 64 * 2**20
KEPT_S = 3600.0
Exist = Callable[[Iterable[str]], Awaitable[Collection[str]]]
"""Returns which decisions still exist: a response is forgotten with its decision."""


class RecentResponses:
    """Each owner's responses, oldest first. If there are too many, the largest owner loses its
    oldest.
    """

    def __init__(
        self,
        exist: Exist,
        *,
        most_bytes: int = MOST_BYTES,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._exist = exist
        self._most_bytes = most_bytes
        self._now = now
        self._held: dict[str, OrderedDict[str, tuple[float, ResponseRecord]]] = {}
        self._bytes: dict[str, int] = defaultdict(int)

    async def add(self, record: ResponseRecord) -> None:
        """Keep a response, unless it exceeds the total capacity."""
        if record.bytes > self._most_bytes:
            return
        self._held.setdefault(record.owner, OrderedDict())[record.id] = self._now(), record
        self._bytes[record.owner] += record.bytes
        while sum(self._bytes.values()) > self._most_bytes:
            largest = max(self._bytes, key=lambda owner: self._bytes[owner])
            self._drop(largest, next(iter(self._held[largest])))

    async def get(self, ids: Collection[str], *, scope: Scope = None) -> dict[str, ResponseRecord]:
        """Return the responses that exist within the scope."""
        self._forget_old()
        owners = list(self._held) if scope is None else sorted(scope)
        held = [self._held[each] for each in owners if each in self._held]
        found = {name: of[name][1] for of in held for name in ids if name in of}
        decisions = await self._exist({record.decision_id for record in found.values()})
        return {name: r for name, r in found.items() if r.decision_id in decisions}

    async def delete(self, response_id: str, *, scope: Scope = None) -> bool:
        """Forget a response; returns whether it was there."""
        found = await self.get([response_id], scope=scope)
        for record in found.values():
            self._drop(record.owner, record.id)
        return bool(found)

    def _forget_old(self) -> None:
        since = self._now() - KEPT_S
        for owner in list(self._held):
            while owner in self._held:
                name, (added, _) = next(iter(self._held[owner].items()))
                if added >= since:
                    break
                self._drop(owner, name)

    def _drop(self, owner: str, name: str) -> None:
        _, record = self._held[owner].pop(name)
        self._bytes[owner] -= record.bytes
        if not self._held[owner]:
            del self._held[owner], self._bytes[owner]
