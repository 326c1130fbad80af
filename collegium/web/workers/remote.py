"""The state that a worker shares with the others, as the owner has it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import msgspec

from collegium.registry.answers import Held as AnswersHeld
from collegium.registry.budgets.counters import (
    Charge,
    Granted,
    Held,
    Level,
    Missing,
    Refused,
    Wanted,
)
from collegium.registry.claims import Answer
from collegium.registry.state import Step
from collegium.web.workers.link import Link


class RemoteState:
    """Texts by key."""

    def __init__(self, link: Link, name: str) -> None:
        self._link = link
        self._name = name

    async def get(self, key: str) -> str | None:
        """Return the text, or None if there is none or it has expired."""
        return cast("str | None", await self._link.call(f"{self._name}.get", key))

    async def put(self, key: str, value: str, ttl_s: float) -> None:
        """Store the text for this many seconds. Whoever asks for it afterwards gets it."""
        await self._link.tell(f"{self._name}.put", key, value, ttl_s)

    async def change(self, key: str, step: Step, ttl_s: float) -> str:
        """Write what `step` makes of the text, unless another process changed that meanwhile."""
        before = await self.get(key)
        while True:
            value = step(before)
            changed, before = await self._link.call(f"{self._name}.swap", key, before, value, ttl_s)
            if changed:
                return value

    async def claim(
        self, key: str, holder: str, count: int, most: int, ttl_s: float, leave: int = 0
    ) -> Answer:
        """Claim `count` of `most` for a holder."""
        found = await self._link.call(f"{self._name}.claim", key, holder, count, most, ttl_s, leave)
        return cast("Answer", found)

    async def close(self) -> None:
        """Do nothing: the link is the worker's."""


class RemoteAnswers:
    """Answers of the response cache."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def get(self, key: str) -> bytes | None:
        """Return the value; None where there is none or its time is over."""
        return cast("bytes | None", await self._link.call("answers.get", key))

    async def put(self, key: str, decision: str, value: bytes, owner: str) -> None:
        """Keep a value of an owner in the place of an earlier one of the same key."""
        await self._link.call("answers.put", key, decision, value, owner)

    async def forget(self, decisions: Iterable[str]) -> int:
        """Forget the values of some decisions; returns how many there were."""
        return int(await self._link.call("answers.forget", list(decisions)))

    async def clear(self) -> int:
        """Forget all values; returns how many there were."""
        return int(await self._link.call("answers.clear"))

    async def held(self) -> AnswersHeld:
        """Return how much is held."""
        return msgspec.convert(await self._link.call("answers.held"), AnswersHeld)

    async def close(self) -> None:
        """Do nothing: the link is the worker's."""


class RemoteCounters:
    """Counters of budgets."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def reserve(
        self, hold: str, charges: Sequence[Charge], want: Wanted
    ) -> Granted | Refused | Missing:
        """Reserve for as many tokens of output as are wanted and as all counters allow."""
        kind, found = await self._link.call("counters.reserve", hold, charges, want)
        return cast("Granted | Refused | Missing", msgspec.convert(found, RESERVED[kind]))

    async def settle(self, hold: str, amounts: Mapping[str, int], *, lapsed: bool = False) -> None:
        """Replace what a request holds by what it has actually used."""
        await self._link.call("counters.settle", hold, dict(amounts), lapsed)

    async def levels(self, counters: Sequence[str]) -> list[Level | None]:
        """Return the counters' levels."""
        found = await self._link.call("counters.levels", list(counters))
        return msgspec.convert(found, list[Level | None])

    async def holding(self, counter: str) -> tuple[int, list[str]]:
        """Return the counter's seed number, and the requests that hold some of it."""
        return msgspec.convert(
            await self._link.call("counters.holding", counter), tuple[int, list[str]]
        )

    async def seed(
        self, counter: str, used: int, number: int, expires_s: float | None = None
    ) -> None:
        """Start a counter."""
        await self._link.call("counters.seed", counter, used, number, expires_s)

    async def drop(self, counters: Sequence[str]) -> None:
        """Discard counters so that they are seeded again."""
        await self._link.call("counters.drop", list(counters))

    async def held(self) -> list[Held]:
        """Return all requests in flight, of all processes."""
        return msgspec.convert(await self._link.call("counters.held"), list[Held])

    async def aclose(self) -> None:
        """Do nothing: the link is the worker's."""


RESERVED: Mapping[str, Any] = {"Granted": Granted, "Refused": Refused, "Missing": Missing}
