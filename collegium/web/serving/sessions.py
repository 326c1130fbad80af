"""Conversations: the last expert of each, what it has read, and whether it is stuck."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import Any

import msgspec

from collegium.errors import StateUnavailable
from collegium.experts.clients.events import Json
from collegium.experts.clients.usage import tokens_of
from collegium.registry.state import CONVERSATION, SharedState
from collegium.router.decision import History, Query
from collegium.router.prompt_cache import PromptCaches, cached_tokens
from collegium.router.stuck import Signs, continues, in_tool_loop, signs_of
from collegium.web.lean_route import to_bytes
from collegium.web.serving.prepare import Prepared

log = logging.getLogger(__name__)
MOST_LEFT = 8
"""Experts that a conversation remembers to have left."""


class Kept(msgspec.Struct, frozen=True, omit_defaults=True):
    """The remembered state of a conversation."""

    expert: str
    since: int = 0
    """Messages that the conversation had when this expert took over."""
    read: int = 0
    """Tokens of the prompt and the answer of its latest answer."""
    asked: str = ""
    """The messages that were answered last, as a digest: the same again are a second try."""
    again: int = 0
    """How often this expert was asked the same again, and signs of earlier changes of expert."""
    left: Mapping[str, int] = {}
    """The signs of experts that were stuck, by name."""


class Sessions:
    """Kept in the shared state for a while; a state that is away costs no answer."""

    def __init__(
        self, state: SharedState, ttl_s: float, caches: PromptCaches | None = None
    ) -> None:
        self._state = state
        self._ttl_s = ttl_s
        self._caches = caches or PromptCaches()

    async def recalled(self, request: Prepared) -> tuple[Query, Kept | None]:
        """Return the query with what is known about its conversation, and that itself."""
        conversation = request.conversation
        if conversation is None or not conversation.known:
            return request.query, None
        kept = await self._kept(request)
        return (request.query if kept is None else self._with(request, kept)), kept

    async def keep(
        self, request: Prepared, query: Query, expert: str, known: Kept | None
    ) -> Kept | None:
        """Remember who answers, as was decided for the query and what was `known`; return what is
        remembered now, None if the conversation is not."""
        if request.conversation is None or not request.conversation.kept:
            return None
        messages = request.body["messages"]
        if known is None or known.expert != expert:
            signs = dict(query.history.signs)
            again = signs.pop(expert, 0)
            left = dict(list(signs.items())[-MOST_LEFT:])
            asked = "" if known is None else known.asked
            kept = Kept(expert, len(messages), asked=asked, again=again, left=left)
        else:
            kept = msgspec.structs.replace(known, again=known.again + _asked_again(request, known))
        await self._put(request, kept)
        return kept

    async def answered(
        self, request: Prepared, known: Kept, expert: str, usage: Json | None
    ) -> None:
        """Remember which expert answered and what it has read, and learn how much its cache
        contained. `known` is what was kept when it was asked."""
        messages = request.body["messages"]
        told = tokens_of(usage or {})
        prompt = told.input or request.query.prompt_tokens or 0
        if known.expert == expert and known.read:
            self._caches.learn(expert, min(known.read, prompt), cached_tokens(usage))
        since = known.since if known.expert == expert else len(messages)
        read = prompt + told.output
        kept = msgspec.structs.replace(
            known, expert=expert, since=since, read=read, asked=_digest(messages)
        )
        await self._put(request, kept)

    def _with(self, request: Prepared, kept: Kept) -> Query:
        messages, query = request.body["messages"], request.query
        begun = kept.since if kept.since <= len(messages) else 0  # else it was summed up
        signs = signs_of(messages[begun:])
        again = kept.again + _asked_again(request, kept)
        if again and not signs.words:
            signs = Signs(signs.count, "the same is asked again")
        count = signs.count + again
        own = {kept.expert: count} if count else {}
        read = min(kept.read, query.prompt_tokens or kept.read)
        history = History(
            round(self._caches.share(kept.expert) * read),
            in_tool_loop(messages),
            {**kept.left, **own},
            signs.words,
        )
        return replace(query, session_expert=kept.expert, history=history)

    async def _kept(self, request: Prepared) -> Kept | None:
        try:
            text = await self._state.get(_key(request))
        except StateUnavailable as exc:
            log.warning("sessions are not kept: %s", exc)
            return None
        if text is None:
            return None
        try:
            return msgspec.json.decode(text, type=Kept)
        except msgspec.MsgspecError:  # an older version wrote the name alone
            return Kept(text)

    async def _put(self, request: Prepared, kept: Kept) -> None:
        with contextlib.suppress(StateUnavailable):  # `_kept` has warned
            text = msgspec.json.encode(kept).decode()
            await self._state.put(_key(request), text, self._ttl_s)


def _key(request: Prepared) -> str:
    """Callers may choose the same name; theirs have no colon."""
    assert request.conversation is not None
    return f"{CONVERSATION}:{request.owner}:{request.conversation.key}"


def _asked_again(request: Prepared, kept: Kept) -> bool:
    """Whether the messages are those that were answered last; a first question may be anybody's."""
    messages = request.body["messages"]
    return continues(messages) and kept.asked == _digest(messages)


def _digest(messages: Sequence[Mapping[str, Any]]) -> str:
    newest = to_bytes(messages[-2:])
    return f"{len(messages)}-{blake2b(newest, digest_size=8).hexdigest()}"
