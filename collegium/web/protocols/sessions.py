"""Identify the conversation of a request: by a name in one of the usual places, or by its
beginning.

In this order: the headers `x-session-id` and `x-conversation-id`; the body's `prompt_cache_key`;
the response that `previous_response_id` goes back to; `metadata.session_id`; the session in
`metadata.user_id`, as Claude Code writes it; else the system prompt and the first user message.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from collegium.errors import BadRequest
from collegium.router.conversation import text_of
from collegium.router.stuck import continues

HEADERS = ("x-session-id", "x-conversation-id", "session-id")
"""The last one is Codex's."""
LONGEST_SESSION = 128
SYSTEM = ("system", "developer")
_OF_CLAUDE_CODE = re.compile(r"_session_([0-9A-Za-z-]{8,64})\Z")
Messages = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Conversation:
    """The key under which a conversation is remembered."""

    key: str
    known: bool = True
    """Whether what is remembered counts: a beginning alone may be that of many conversations."""
    kept: bool = True
    """Whether who answers now is remembered: who writes its title is not."""


def session_of(
    headers: Mapping[str, str], body: Mapping[str, Any], response: str | None = None
) -> str | None:
    """Return the name of the conversation that a request belongs to; None if it has none.

    `body` holds the fields that are not ours; `response` names the one that it goes on from.
    """
    for header in HEADERS:
        if name := headers.get(header):
            if len(name) > LONGEST_SESSION:
                raise BadRequest(
                    f"The header {header} has more than {LONGEST_SESSION} characters", header
                )
            return name
    metadata = body.get("metadata")
    metadata = metadata if isinstance(metadata, Mapping) else {}
    found = (
        body.get("prompt_cache_key"),
        response,
        metadata.get("session_id"),
        _of_user(metadata.get("user_id")),
    )
    return next((_short(name) for name in found if isinstance(name, str) and name.strip()), None)


def conversation_of(
    messages: Messages, session: str | None, *, background: bool, caller: str | None
) -> Conversation | None:
    """Return the key under which a conversation is remembered; None if it isn't.

    Without a name it needs a `caller`, whose own it is. A background job goes on with a
    conversation only where it holds its messages, such as to summarise it.
    """
    goes_on = continues(messages)
    if background and not goes_on:
        return None
    if session is not None:
        return Conversation(session, kept=not background)
    if caller is None or (beginning := _beginning(messages)) is None:
        return None
    return Conversation(_digest(f"{caller}\0{beginning}"), known=goes_on, kept=not background)


def _beginning(messages: Messages) -> str | None:
    """Return the system prompt and the first user message; None if they are empty."""
    texts = []
    for message in messages:
        if message.get("role") in SYSTEM:
            texts.append(text_of(message))
        elif message.get("role") == "user" and (text := text_of(message)):
            return "\0".join((*texts, text))
    return None


def _of_user(user: Any) -> str | None:
    """The session in `user_…_session_ID`, or in the JSON that newer versions send there."""
    if not isinstance(user, str) or len(user) > 4 * LONGEST_SESSION:
        return None
    if found := _OF_CLAUDE_CODE.search(user):
        return found[1]
    try:
        told = json.loads(user) if user.startswith("{") else None
    except ValueError:
        return None
    session = told.get("session_id") if isinstance(told, dict) else None
    return session if isinstance(session, str) else None


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_SESSION else _digest(name)


def _digest(text: str) -> str:
    return f"sha-{blake2b(text.encode(errors='surrogatepass'), digest_size=16).hexdigest()}"
