"""Counters of budgets that several processes count in together, one of which has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from collegium.registry.budgets.counters import (
    Charge,
    Counters,
    Granted,
    Held,
    Level,
    Missing,
    Refused,
    Wanted,
)


class Members:
    """Who holds what: a member that is gone leaves its holds to the others' sweeps."""

    def __init__(self, counters: Counters) -> None:
        self.counters = counters
        self.of_holds: dict[str, str] = {}
        """The member of each hold."""
        self.gone: set[str] = set()

    def of(self, member: str) -> MemberCounters:
        """The counters as one process has them."""
        return MemberCounters(self, member)

    def leave(self, member: str) -> None:
        """Note that a process has ended."""
        self.gone.add(member)


class MemberCounters:
    """The same counters for each member, which knows its own holds."""

    def __init__(self, members: Members, member: str) -> None:
        self._members = members
        self._counters = members.counters
        self._member = member

    async def reserve(
        self, hold: str, charges: Sequence[Charge], want: Wanted
    ) -> Granted | Refused | Missing:
        """Reserve, and note whose it is."""
        known = hold in self._members.of_holds
        self._members.of_holds[hold] = self._member
        found = await self._counters.reserve(hold, charges, want)
        if not isinstance(found, Granted) and not known:
            self._members.of_holds.pop(hold, None)
        return found

    async def settle(self, hold: str, amounts: Mapping[str, int], *, lapsed: bool = False) -> None:
        """Put what a request took in the place of what it holds."""
        await self._counters.settle(hold, amounts, lapsed=lapsed)
        self._members.of_holds.pop(hold, None)

    async def levels(self, counters: Sequence[str]) -> list[Level | None]:
        """Return the counters' levels."""
        return await self._counters.levels(counters)

    async def holding(self, counter: str) -> tuple[int, list[str]]:
        """Return the counter's seed number, and the requests that hold some of it."""
        return await self._counters.holding(counter)

    async def seed(
        self, counter: str, used: int, number: int, expires_s: float | None = None
    ) -> None:
        """Begin a counter."""
        await self._counters.seed(counter, used, number, expires_s)

    async def drop(self, counters: Sequence[str]) -> None:
        """Have counters seeded anew."""
        await self._counters.drop(counters)

    async def held(self) -> list[Held]:
        """All requests in flight; those of members that are gone are not alive."""
        owners, gone = self._members.of_holds, self._members.gone
        return [
            Held(
                each.hold,
                each.counters,
                own=each.own and owners.get(each.hold) == self._member,
                alive=each.alive and owners.get(each.hold) not in gone,
            )
            for each in await self._counters.held()
        ]

    async def aclose(self) -> None:
        """Let go of connections; members that answer calls have none."""
        await self._counters.aclose()
