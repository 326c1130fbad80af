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

    async def expert(self, session: str | None) -> str | None:
        """Who answered last in this conversation; None when nobody knows."""
        if session is None:
            return None
        try:
            return await self._state.get(f"session:{session}")
        except StateUnavailable as exc:
            log.warning("sessions are not kept: %s", exc)
            return None

    async def keep(self, session: str | None, expert: str) -> None:
        """Remember who answers in this conversation."""
        if session is not None:
            with contextlib.suppress(StateUnavailable):  # `expert` has warned
                await self._state.put(f"session:{session}", expert, self._ttl_s)
