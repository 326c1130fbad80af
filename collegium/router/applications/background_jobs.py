"""Background jobs of chat front ends: titles, tags and the like, told by the user message.

The phrases are those of the default prompts of Open WebUI, LibreChat, LobeChat and Chatbox. Only
the beginning of a message is read, and a phrase has to speak of the conversation: a person who asks
for a title of an essay is no background job.
"""

from __future__ import annotations

import re

BEGINNING = 400
"""Characters that are read: the conversation that follows may quote anything."""

_CHAT = r"(?:the |this |our )?(?:chat|conversation|dialogue|discussion)"
_PHRASES = {
    "title": (
        r"(?:word|words|concise|short|brief)\b[^.\n]{0,60}\btitle\b[^.\n]{0,60}\b" + _CHAT,
        r"\btitle\b[^.\n]{0,30}\b(?:for|of|summari[sz]ing) " + _CHAT,
        r"give " + _CHAT + r" a (?:name|title)",
        r"a concise title in the detected language",
    ),
    "tags": (r"\bgenerate [^.\n]{0,20}\btags\b[^.\n]{0,60}\b(?:chat|conversation)",),
    "follow-ups": (
        r"\bsuggest [^.\n]{0,40}\bfollow-?up (?:questions|prompts)[^.\n]{0,120}\b"
        r"(?:the user|in this conversation|chat history)",
    ),
    "queries": (
        r"necessity of generating search queries",
        r"\bgenerate [^.\n]{0,40}\bsearch quer(?:y|ies)\b[^.\n]{0,80}\b(?:chat|conversation)",
    ),
    "image-prompt": (r"generate a detailed prompt for an? ?m? ?image generation task",),
    "autocomplete": (r"you are an autocompletion system",),
    "emoji": (r"reflect the speaker'?s likely facial expression",),
    "merge-answers": (r"you have been provided with a set of responses from various models",),
    "summary": (
        r"\bsummari[sz]e " + _CHAT + r"\b[^.\n]{0,60}\b(?:integrating|so far|above|for later)",
    ),
}
KINDS = tuple(_PHRASES)
_PATTERN = re.compile(
    "|".join(f"(?P<k{n}>{'|'.join(_PHRASES[kind])})" for n, kind in enumerate(KINDS)),
    re.IGNORECASE,
)
_HINT = re.compile(r"title|tags|follow-?up|quer(?:y|ies)|autocompl|emoji|prompt|facial|responses|"
                   r"summari|name", re.IGNORECASE)  # fmt: skip


def background_job(asked: str) -> str | None:
    """The kind of background job that a user message asks for; None for everything else."""
    beginning = asked[:BEGINNING]
    if not _HINT.search(beginning):
        return None
    found = _PATTERN.search(beginning)
    return None if found is None else KINDS[int(str(found.lastgroup)[1:])]
