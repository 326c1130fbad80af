"""Ask several members at once: yield their events as they arrive, collect their replies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from collegium.errors import CollegiumError, QuorumMissed
from collegium.experts.aggregation.base import Ask, Member, MemberAnswer, Panel
from collegium.experts.aggregation.events import Dropped, Event, Replied, Said, Started
from collegium.experts.clients.events import Text
from collegium.experts.clients.reply import Call, Fold

Enough = Callable[[Mapping[int, MemberAnswer], Collection[int]], bool]
"""Decides from the replies so far and the open seats whether the rest can be cancelled."""
Value = TypeVar("Value")
LATE, SPARED = "late", "not needed"


@dataclass(frozen=True)
class _Ended:
    seat: int


class Deadline:
    """A point in time; None for no deadline."""

    def __init__(self, timeout_s: float | None) -> None:
        self._clock = asyncio.get_running_loop().time
        self._ends = None if timeout_s is None else self._clock() + timeout_s

    async def first(self, work: Coroutine[Any, Any, Value]) -> Value | None:
        """Return the result, or None once the deadline has passed."""
        left = None if self._ends is None else self._ends - self._clock()
        try:
            return await asyncio.wait_for(work, left)
        except TimeoutError:
            return None


class FanOut:
    """One round of calls. Read `replies` (in the order of the seats) after the last event."""

    def __init__(self, ask: Ask, panel: Panel) -> None:
        self._ask = ask
        self._timeout_s = panel.timeout_s
        self._quorum = panel.quorum
        self._found: dict[int, MemberAnswer] = {}
        self._errors: dict[int, CollegiumError] = {}

    @property
    def replies(self) -> list[MemberAnswer]:
        """The replies in the order of the seats, not of arrival."""
        return [self._found[seat] for seat in sorted(self._found)]

    async def events(
        self, seated: Sequence[tuple[Call, Member]], enough: Enough | None = None
    ) -> AsyncGenerator[Event]:
        """Ask all; ends when everyone has answered, is late or is not needed any more."""
        for call, _ in seated:
            yield Started(call.seat, call.expert.name, call.role)
        inbox: asyncio.Queue[Event | _Ended] = asyncio.Queue()
        tasks = {c.seat: asyncio.create_task(self._hear(c, m, inbox)) for c, m in seated}
        for seat, task in tasks.items():
            task.add_done_callback(partial(_tell, inbox, _Ended(seat)))
        waiting, why = set(tasks), SPARED
        deadline, done = Deadline(self._timeout_s), False
        try:
            while waiting and not done:
                event = await deadline.first(inbox.get())
                if event is None:
                    why = LATE
                    break
                if isinstance(event, _Ended):
                    tasks[event.seat].result()  # what nobody named is raised here
                    waiting.discard(event.seat)
                    done = enough is not None and enough(self._found, waiting)
                else:
                    yield event
        finally:
            await _cancel(list(tasks.values()))
        while not inbox.empty():  # what came in the meantime
            if not isinstance(event := inbox.get_nowait(), _Ended):
                yield event
        for seat in sorted(waiting - set(self._found) - set(self._errors)):
            yield Dropped(seat, why)

    def require_quorum(self, quorum: int | None = None) -> None:
        """Raise the only reason there is, or QuorumMissed."""
        needed = self._quorum if quorum is None else quorum
        if len(self._found) >= needed:
            return
        reasons = [self._errors[seat] for seat in sorted(self._errors)]
        if not self._found and reasons:
            raise reasons[0]
        raise QuorumMissed(len(self._found), needed, [str(error) for error in reasons])

    async def _hear(self, call: Call, member: Member, inbox: asyncio.Queue[Event | _Ended]) -> None:
        fold = Fold()
        try:
            async with self._ask(call) as reply:
                async for event in reply:
                    fold.take(event)
                    if isinstance(event, Text) and event.text:
                        inbox.put_nowait(Said(call.seat, event.text))
        except CollegiumError as exc:
            self._errors[call.seat] = exc
            inbox.put_nowait(Dropped(call.seat, exc.public))
            return
        answer = MemberAnswer.of(call, member, fold.answer())
        self._found[call.seat] = answer
        inbox.put_nowait(Replied(call.seat, answer.text))


def _tell(inbox: asyncio.Queue[Event | _Ended], ended: _Ended, _: asyncio.Task[None]) -> None:
    inbox.put_nowait(ended)


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
