"""Start-time fair queueing between callers.

After Goyal, Vin and Cheng, Start-time Fair Queueing (SIGCOMM 1996): a caller's next request starts
at the later of the queue's virtual time and the end of that caller's last one; the earliest start
is served. So callers who wait get equal work, whoever sent more, and who was idle saves nothing up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    """Items by caller. Taking the next is O(callers that wait)."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[tuple[T, float]]] = {}
        self._ends: dict[str, float] = {}
        self._now = 0.0

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def push(self, item: T, caller: str, work: float = 1.0, *, first: bool = False) -> None:
        """Queue an item of so much work; `first` puts it before the caller's own others."""
        own = self._waiting.setdefault(caller, deque())
        own.appendleft((item, work)) if first else own.append((item, work))

    def pop_for(self, may: Callable[[str], bool]) -> T | None:
        """Remove and return the next item of an eligible caller; None if there is none."""
        allowed = [caller for caller in self._waiting if may(caller)]
        return self._pop(allowed) if allowed else None

    def pop(self) -> T:
        """Take the next item."""
        return self._pop(self._waiting)

    def _pop(self, callers: Iterable[str]) -> T:
        caller = min(callers, key=self._start)  # the first of equals: who came first
        self._now = start = self._start(caller)
        item, work = self._waiting[caller].popleft()
        self._ends[caller] = start + work
        if not self._waiting[caller]:
            self._forget(caller)
        return item

    def discard(self, item: T, caller: str) -> None:
        """Remove an item that no longer waits."""
        own = self._waiting.get(caller, deque())
        kept = deque(entry for entry in own if entry[0] is not item)
        if kept:
            self._waiting[caller] = kept
        elif caller in self._waiting:
            self._forget(caller)

    def ahead(self, caller: str) -> int:
        """Return how many items precede the caller's next one, assuming equal work."""
        own = len(self._waiting.get(caller, ()))
        others = (len(q) for name, q in self._waiting.items() if name != caller)
        return own + sum(min(waiting, own + 1) for waiting in others)

    def _start(self, caller: str) -> float:
        return max(self._now, self._ends.get(caller, 0.0))

    def _forget(self, caller: str) -> None:
        """Drop an empty line, and every end that lies in the past: memory has to have an end."""
        del self._waiting[caller]
        self._ends = {name: end for name, end in self._ends.items() if end > self._now}
