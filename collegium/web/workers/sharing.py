"""The owner's end of a link: what a worker may call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from collegium.errors import StateUnavailable
from collegium.registry.budgets.counters import Charge, Counters, Wanted
from collegium.registry.state import SharedState
from collegium.web.serving.shared import Shared
from collegium.web.workers.members import MemberCounters

STATE = frozenset({"get", "put", "claim"})
ANSWERS = frozenset({"get", "put", "forget", "clear", "held"})
COUNTERS = frozenset({"levels", "holding", "seed", "drop", "held"})


class Sharing:
    """Answers a worker's calls with the owner's state."""

    def __init__(self, shared: Shared, counters: MemberCounters) -> None:
        self._shared = shared
        self._counters: Counters = counters

    async def handle(self, name: str, arguments: Sequence[Any]) -> Any:
        """Answer one call; raise StateUnavailable for one that there is not."""
        part, _, method = name.partition(".")
        if part in ("state", "trials"):
            return await _of_state(getattr(self._shared, part), method, arguments)
        if part == "counters":
            return await self._of_counters(method, arguments)
        if part == "answers" and method in ANSWERS and self._shared.answers is not None:
            return await getattr(self._shared.answers, method)(*arguments)
        raise StateUnavailable(f"a worker called {name}, which there is not")

    async def _of_counters(self, method: str, arguments: Sequence[Any]) -> Any:
        if method == "reserve":
            hold, charges, want = arguments
            found = await self._counters.reserve(
                hold, msgspec.convert(charges, list[Charge]), msgspec.convert(want, Wanted)
            )
            return type(found).__name__, found
        if method == "settle":
            hold, amounts, lapsed = arguments
            return await self._counters.settle(hold, amounts, lapsed=lapsed)
        if method not in COUNTERS:
            raise StateUnavailable(f"a worker called counters.{method}, which there is not")
        return await getattr(self._counters, method)(*arguments)


async def _of_state(state: SharedState, method: str, arguments: Sequence[Any]) -> Any:
    if method == "swap":
        key, before, value, ttl_s = arguments
        present = await state.get(key)  # memory: nothing else runs until the text is put
        if present != before:
            return False, present
        await state.put(key, value, ttl_s)
        return True, value
    if method not in STATE:
        raise StateUnavailable(f"a worker called {method} of the state, which there is not")
    return await getattr(state, method)(*arguments)
