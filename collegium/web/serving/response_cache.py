"""The response cache: a request that its expert has answered before is answered from memory.

The cache is looked up after the decision, so the answer always comes from the expert that the
router would choose now, for this caller and within the limits. A hit costs the decision but no
call.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from collegium.errors import StateUnavailable
from collegium.experts.aggregation.base import Ask, Panel
from collegium.experts.aggregation.events import Event
from collegium.experts.clients.events import Began, Finish, OfChoice, Other
from collegium.registry.answers import AnswerStore, Held
from collegium.registry.background import Background
from collegium.web.serving.cache_key import Keys
from collegium.web.serving.decide import Decided
from collegium.web.serving.lookup import Kept, Lookup, StoredAnswer
from collegium.web.serving.metrics import Metrics
from collegium.web.serving.outcome import Outcome

log = logging.getLogger(__name__)
COMPLETE = frozenset({"stop", "length", "tool_calls", "function_call"})
"""Finish reasons of answers that are complete and were not filtered."""
OF_ONE_ANSWER = ("id", "created")
"""Fields of an answer that must be different in every answer."""
MOST_BYTES = 2**20
"""Maximum size of a cached answer."""
MOST_EVENTS = 32_768
"""Maximum number of events of a cached answer; they are held in memory until it has ended."""
RETRY_S = 5.0
"""How long a store that can't be reached is not tried again."""


_DECODER = msgspec.msgpack.Decoder(StoredAnswer)


class Replay:
    """The mode of a hit: yields the cached events without calling an expert."""

    name = "single"
    verbatim = True

    def __init__(self, events: Sequence[Kept]) -> None:
        self._events = events

    async def run(self, panel: Panel, body: Mapping[str, Any], ask: Ask) -> AsyncGenerator[Event]:
        """Yield them."""
        for event in self._events:
            yield event


class Copy:
    """Collects the events of an answer, unless there are too many."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def take(self, event: Event) -> None:
        """Add one event."""
        if len(self.events) <= MOST_EVENTS:
            self.events.append(event)


class ResponseCache:
    """Looks up answers for decided requests, and stores those that may be reused."""

    def __init__(
        self, store: AnswerStore, keys: Keys, metrics: Metrics, background: Background
    ) -> None:
        self._store = store
        self._keys = keys
        self._metrics = metrics
        self._background = background
        self._lost_until = 0.0

    async def look_up(self, decided: Decided) -> Decided:
        """Return the request with its cached answer, if any; a hit is answered by a `Replay`."""
        lookup = await self._lookup(decided)
        if lookup.answer is None:
            self._metrics.looked_up(lookup.status)
            return replace(decided, lookup=lookup)
        answer, decision = lookup.answer, decided.decision
        self._metrics.looked_up(lookup.status, decision.expert, answer.cost_usd)
        why = f"{decision.reason} {_told(answer)}"
        return replace(
            decided,
            lookup=lookup,
            decision=replace(decision, reason=why),
            mode=Replay(_retold(answer.events, decided)),
        )

    def copy_of(self, decided: Decided) -> Copy | None:
        """Return a collector of the answer's events; None if the answer is not to be cached."""
        lookup = decided.lookup
        if lookup is None or lookup.key is None or lookup.answer is not None:
            return None
        return Copy()

    def keep(self, decided: Decided, outcome: Outcome, copy: Copy) -> None:
        """Store a complete answer in the background, if it may be reused."""
        assert decided.lookup is not None
        assert decided.lookup.key is not None
        kept = storable(decided, outcome, copy.events)
        value = None if kept is None else _encoded(decided, outcome, kept)
        if value is not None:
            owner = decided.request.owner
            self._background.spawn(self._put(decided.lookup.key, decided.decision.id, value, owner))

    async def forget(self, decisions: Iterable[str]) -> None:
        """Delete the answers to some decisions; StateUnavailable if the store can't be reached."""
        await self._store.forget(decisions)

    async def clear(self) -> int:
        """Delete all answers; return how many there were."""
        return await self._store.clear()

    async def held(self) -> Held:
        """Return the current size of the cache."""
        return await self._store.held()

    async def measure(self) -> None:
        """Update the metrics of the cache's size, if it is known."""
        if not self._is_lost:
            try:
                self._metrics.cache_holds(await self._store.held())
            except StateUnavailable as exc:
                self._lose(exc)

    async def close(self) -> None:
        """Close connections."""
        await self._store.close()

    async def _lookup(self, decided: Decided) -> Lookup:
        request = decided.request
        directives = _directives(request.cache_control)
        if "no-store" in directives or self._is_lost or not self._keys.may_be_kept(decided):
            return Lookup("bypass")
        key = await self._keys.of(decided)
        if "no-cache" in directives:
            return Lookup("bypass", key)
        answer = await self._found(key)
        if answer is None or time.time() - answer.at > _max_age_s(directives):
            return Lookup("miss", key)
        return Lookup("hit", key, answer)

    async def _found(self, key: str) -> StoredAnswer | None:
        try:
            value = await self._store.get(key)
        except StateUnavailable as exc:
            self._lose(exc)
            return None
        try:
            return None if value is None else _DECODER.decode(value)
        except msgspec.MsgspecError as exc:  # another version of the service has kept it
            log.info("a cached answer is not read: %s", exc)
            return None

    async def _put(self, key: str, decision: str, value: bytes, owner: str) -> None:
        try:
            await self._store.put(key, decision, value, owner)
        except StateUnavailable as exc:
            self._lose(exc)

    @property
    def _is_lost(self) -> bool:
        return time.monotonic() < self._lost_until

    def _lose(self, exc: StateUnavailable) -> None:
        if not self._is_lost:
            log.warning("the response cache is not used for %g s: %s", RETRY_S, exc)
        self._lost_until = time.monotonic() + RETRY_S


def storable(decided: Decided, outcome: Outcome, events: Sequence[Event]) -> list[Kept] | None:
    """Serialise the events of an answer for the cache; None if it may not be reused.

    The answer has to be complete, from the chosen expert, and neither refused nor filtered. It must
    not depend on the time, as results of the provider's own tools do.
    """
    if len(events) > MOST_EVENTS or outcome.answered_by != decided.decision.expert:
        return None
    began, *rest = events
    if not isinstance(began, Began) or began.hosted or not _is_complete(rest):
        return None
    shortened = any("=" in told for told in began.adjusted)
    if shortened and any(isinstance(e, Finish) and e.reason == "length" for e in rest):
        return None  # a budget left it no more tokens
    request = decided.request
    dropped = tuple(name for name in began.dropped if name not in request.left_out)
    if dropped and request.cache is not True:  # the seed may be among them
        return None
    first = msgspec.structs.replace(
        began,
        head={k: v for k, v in began.head.items() if k not in OF_ONE_ANSWER},
        tried=(),
        adjusted=tuple(told for told in began.adjusted if "=" not in told),
        dropped=dropped,
    )
    kept: list[Kept] = [first, *(each for each in rest if isinstance(each, Kept))]
    return kept if len(kept) == len(events) else None


def _is_complete(events: Sequence[Event]) -> bool:
    begun, ended = set(), set()
    for event in events:
        if isinstance(event, Finish):
            if event.reason not in COMPLETE:
                return False
            ended.add(event.choice)
        elif isinstance(event, Other) and event.fields.get("refusal"):
            return False
        elif isinstance(event, OfChoice):
            begun.add(event.choice)
    return bool(ended) and begun <= ended


def _encoded(decided: Decided, outcome: Outcome, events: list[Kept]) -> bytes | None:
    answer = StoredAnswer(decided.decision.id, time.time(), outcome.spent_usd, events)
    try:
        value = msgspec.msgpack.encode(answer)
    except (ValueError, OverflowError, TypeError) as exc:  # half a surrogate pair, or a plugin's
        log.info("an answer is not cached: %s", exc)
        return None
    return value if len(value) <= MOST_BYTES else None


def _retold(events: Sequence[Kept], decided: Decided) -> list[Kept]:
    """Yield the events; the first one contains this request's own decision."""
    first, *rest = events
    return [decided.request.told(first) if isinstance(first, Began) else first, *rest]


def _told(answer: StoredAnswer) -> str:
    saved = "" if answer.cost_usd is None else f", which saves {answer.cost_usd:.9g} USD"
    return f"Answered from the response cache: given {answer.age_s} s ago{saved}."


def _directives(header: str | None) -> dict[str, str]:
    """The directives of a Cache-Control header (RFC 9111), in lower case."""
    parts = (part.partition("=") for part in (header or "").lower().split(","))
    return {name.strip(): value.strip().strip('"') for name, _, value in parts}


def _max_age_s(directives: Mapping[str, str]) -> float:
    given = directives.get("max-age")
    if given is None:
        return float("inf")
    return float(given) if given.isascii() and given.isdigit() else 0.0  # as RFC 9111 advises
