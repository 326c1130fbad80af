"""Conversations: which expert answered last in each."""

from __future__ import annotations

import contextlib
import logging

from collegium.errors import StateUnavailable
from collegium.registry.state import SharedState

log = logging.getLogger(__name__)


class Sessions:
    """Kept in the shared state for a while; a state that is away costs no answer."""

    def __init__(self, state: SharedState, ttl_s: float) -> None:
        self._state = state
        self._ttl_s = ttl_s

    async def expert(self, owner: str, session: str | None) -> str | None:
        """Who answered last in this conversation of a caller's; None when nobody knows."""
        if session is None:
            return None
        try:
            return await self._state.get(_key(owner, session))
        except StateUnavailable as exc:
            log.warning("sessions are not kept: %s", exc)
            return None

    async def keep(self, owner: str, session: str | None, expert: str) -> None:
        """Remember who answers in this conversation of a caller's."""
        if session is not None:
            with contextlib.suppress(StateUnavailable):  # `expert` has warned
                await self._state.put(_key(owner, session), expert, self._ttl_s)


def _key(owner: str, session: str) -> str:
    """Callers may choose the same name; theirs have no colon."""
    return f"session:{owner}:{session}"
