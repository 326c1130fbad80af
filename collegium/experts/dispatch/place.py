"""A place that answers, such as an engine: its slots, its experts' queues and their pace."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter, OrderedDict, defaultdict, deque

from collegium.errors import ExpertBusy
from collegium.experts.dispatch.fair_queue import FairQueue
from collegium.experts.dispatch.terms import Terms
from collegium.registry.claims import KEPT_FREE

MEMORY = 0.1  # weight of the newest answer in the running mean
MOST = 256  # the newest count, for an expert's speed changes
ENOUGH_TO_HEDGE = 20
HEDGE_QUANTILE = 0.95


class Pace:
    """One expert's service times and times to the first token, seconds."""

    def __init__(self) -> None:
        self.service_s: float | None = None
        """Running mean of the time that an answer occupies a slot; None before the first answer."""
        self._served = 0
        self._first: deque[float] = deque(maxlen=MOST)

    def served(self, seconds: float) -> None:
        """Note how long an answer had its slot."""
        self._served += 1
        weight = max(MEMORY, 1 / self._served)  # the plain mean of the first ten
        self.service_s = (1 - weight) * (self.service_s or 0.0) + weight * seconds

    def began(self, seconds: float) -> None:
        """Note how long an answer's first token took, waiting included."""
        self._first.append(seconds)

    def hedge_after_s(self) -> float | None:
        """The time by which 95 % of answers begin; None while there are too few measurements."""
        if len(self._first) < ENOUGH_TO_HEDGE:
            return None
        ordered = sorted(self._first)
        return ordered[min(len(ordered) - 1, int(HEDGE_QUANTILE * len(ordered)))]


LATELY_S = 60.0
"""Each caller leaves one of KEPT_FREE slots to others if another caller was active so lately,
seconds.
"""
REMEMBERED = 1000


class Ticket:
    """One queued request: whether its turn has come, and whether that is in time."""

    def __init__(self, terms: Terms, pace: Pace) -> None:
        self.caller = terms.caller
        self.turn: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        """True with a slot, False without one: it came too late."""
        self._terms = terms
        self._pace = pace

    def in_time(self) -> bool:
        """Whether the answer can still be there by the deadline."""
        left_s = self._terms.left_s()
        return left_s is None or answer_s(self._terms, self._pace) <= left_s


def answer_s(terms: Terms, pace: Pace) -> float:
    """The expected duration of an answer, seconds; 0 while unknown."""
    return terms.expected_s or pace.service_s or 0.0


class Place:
    """Adapters on one engine share its slots; each expert's queue has a depth of its own."""

    def __init__(self, slots: int, depth: int, patience_s: float) -> None:
        self.slots = slots
        self.busy = 0
        self.waiting: Counter[str] = Counter()
        self._depth = depth
        self._patience_s = patience_s
        self._usual, self._background = FairQueue[Ticket](), FairQueue[Ticket]()
        self._lines: defaultdict[str, Counter[str]] = defaultdict(Counter)
        """The number of queued requests by caller and expert."""
        self._held: Counter[str] = Counter()
        """Slots by caller."""
        self._seen: OrderedDict[str, float] = OrderedDict()
        """When each recent caller was last active."""

    async def enter(self, expert: str, terms: Terms, pace: Pace) -> None:
        """Return when it is this request's turn; ExpertBusy at once when that can't be in time."""
        self._note(terms.caller)
        if self.busy < self.slots and not len(self._usual) and self._may(terms.caller):
            self._take(terms.caller)
            return
        self._admit(expert, terms, pace)
        await self._wait(expert, terms, pace)

    def leave(self, caller: str = "") -> None:
        """Give the slot to the next."""
        self.busy -= 1
        self._held[caller] -= 1
        if self._held[caller] <= 0:
            del self._held[caller]
        self._call()

    def resize(self, slots: int) -> None:
        """Have so many slots from now on."""
        self.slots = slots
        self._call()

    def wait_s(self, terms: Terms, pace: Pace) -> float:
        """Return how long a new request would wait, seconds; 0 while nothing has been measured."""
        if self.busy < self.slots:
            return 0.0
        ahead = self._usual.ahead(terms.caller)
        if terms.priority == "background":
            ahead = len(self._usual) + self._background.ahead(terms.caller)
        elif terms.priority == "urgent":
            ahead = 0
        return (ahead + 1) * (pace.service_s or 0.0) / self.slots

    def _admit(self, expert: str, terms: Terms, pace: Pace) -> None:
        wait_s, left_s = self.wait_s(terms, pace), terms.left_s()
        if self.waiting[expert] >= self._depth and not self._has_share(expert, terms.caller):
            raise _busy(expert, f"{self._depth} requests are already waiting for it", wait_s)
        if left_s is None:
            left_s, needed_s = self._patience_s, wait_s
        else:
            needed_s = wait_s + answer_s(terms, pace)
        if needed_s > left_s:
            words = f"its queue takes about {wait_s:.1f} s, the answer would come too late"
            raise _busy(expert, words, needed_s - left_s)

    async def _wait(self, expert: str, terms: Terms, pace: Pace) -> None:
        ticket = Ticket(terms, pace)
        queue = self._background if terms.priority == "background" else self._usual
        work = answer_s(terms, pace) or 1.0
        queue.push(ticket, terms.caller, work, first=terms.priority == "urgent")
        self.waiting[expert] += 1
        self._lines[expert][terms.caller] += 1
        self._call()  # a slot may be free that those who wait may not have
        left_s = terms.left_s()
        try:
            async with asyncio.timeout(self._patience_s if left_s is None else left_s):
                came_in_time = await ticket.turn
        except BaseException as exc:  # it gave up: nobody may be left with what it had
            if ticket.turn.done() and not ticket.turn.cancelled() and ticket.turn.result():
                self.leave(terms.caller)
            queue.discard(ticket, terms.caller)
            if isinstance(exc, TimeoutError):
                words = "its queue moved too slowly, the answer would come too late"
                raise _busy(expert, words, self.wait_s(terms, pace)) from exc
            raise
        finally:
            self.waiting[expert] -= 1
            self._lines[expert] -= Counter([terms.caller])  # and drops who has none
        if not came_in_time:
            words = "its turn came so late that the answer would come too late"
            raise _busy(expert, words, self.wait_s(terms, pace))

    def _has_share(self, expert: str, caller: str) -> bool:
        """Whether a caller has fewer waiting than its part of a full queue."""
        line = self._lines[expert]
        return line[caller] < self._depth // len({*line, caller})

    def _call(self) -> None:
        while self.busy < self.slots and (queue := self._usual or self._background):
            ticket = queue.pop_for(self._may) or self._background.pop_for(self._may)
            if ticket is None:  # all who wait have their share
                return
            if ticket.turn.done():
                continue
            # Work on an answer that comes too late would make the next ones late as well.
            in_time = ticket.in_time()
            if in_time:
                self._take(ticket.caller)
            ticket.turn.set_result(in_time)

    def _take(self, caller: str) -> None:
        self.busy += 1
        self._held[caller] += 1

    def _note(self, caller: str) -> None:
        self._seen[caller] = time.monotonic()
        self._seen.move_to_end(caller)
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)

    def _may(self, caller: str) -> bool:
        """Whether a caller may take another slot: not the last ones if other callers are active."""
        kept = max(1, self.slots // KEPT_FREE)
        if self._held[caller] < self.slots - kept or self.slots == 1:
            return True
        latest = next((at for name, at in reversed(self._seen.items()) if name != caller), None)
        return latest is None or time.monotonic() - latest > LATELY_S


def _busy(expert: str, why: str, retry_after_s: float) -> ExpertBusy:
    return ExpertBusy(expert, why, max(1, math.ceil(retry_after_s)))
