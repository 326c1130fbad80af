"""The text of a conversation that is routed on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from collegium.router.followups import depends
from collegium.router.wrappers import without_wrappers

MOST_TOGETHER = 4
"""Messages that are read together: of a chain of follow-ups the newest ones."""
MOST_EXAMINED = 200
"""The newest messages of users among which the user's own words are looked for."""
LONGEST_EARLIER = 2_000
"""Characters of an earlier message that are read with the newest one."""


def query_text(messages: Sequence[Mapping[str, Any]]) -> str:
    """The last user message in the user's own words, after the ones that it means nothing without.

    Answers of tools, and messages that an agent or an editor wrote, are skipped, so that a tool
    loop is routed as its question was.
    """
    asked = _asked(messages)
    newest = next(asked, None)
    if newest is None:
        return " ".join(filter(None, map(text_of, messages)))
    together = [newest]
    for earlier in asked:
        if len(together) == MOST_TOGETHER or not depends(together[-1]):
            break
        together.append(earlier[:LONGEST_EARLIER])
    return "\n".join(reversed(together))


def last_asked(messages: Sequence[Mapping[str, Any]]) -> str:
    """Return the last user message; "" if there is none."""
    return next(_asked(messages), "")


def _asked(messages: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the users' messages, newest first."""
    users = (message for message in reversed(messages) if message.get("role") == "user")
    for message in islice(users, MOST_EXAMINED):
        if own := without_wrappers(text_of(message)):
            yield own


def text_of(message: Mapping[str, Any]) -> str:
    """A message's text, whether its content is a string or a list of parts."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = [part.get("text") for part in parts if isinstance(part, Mapping)]
    return "\n".join(text for text in texts if isinstance(text, str))
