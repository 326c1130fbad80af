"""Background jobs of chat front ends and agents, recognised by their prompts: titles, summaries and
others.

The phrases (`background_jobs.toml`) are those of the default prompts of Open WebUI, LibreChat,
LobeChat, NextChat, Chatbox, HuggingChat, Claude Code, Codex, opencode, Cline, Zed, Gemini CLI and
LangChain. Only the beginning of a message is read, and a phrase has to speak of the conversation: a
person who asks for a title of an essay is no background job.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

BEGINNING = 400
"""Characters that are read: the conversation that follows may quote anything."""
_CHAT = (
    r"(?:the |this |our |a |following |the following )?(?:coding )?"
    r"(?:chat|conversation|dialogue|discussion)"
    r"(?! (?:window|room|app|page|box|bot|view|screen|table|component|element|class))"
)
_CHATS = (
    r"(?:\bchat|conversa|konversation|unterhaltung|gespräch|discussion|dialog|gesprek|rozmow|"
    r"sohbet|диалог|чат|бесед|разговор|对话|会话|聊天|会話|対話|チャット|대화|채팅)"
)


@cache
def kinds() -> tuple[str, ...]:
    """The kinds of background jobs, in the order in which they are tried."""
    return tuple(_told())


def background_job(asked: str, system: str = "") -> str | None:
    """The kind of background job that a user message or system prompt asks for; None otherwise."""
    return _kind(asked[:BEGINNING]) or _kind(system[:BEGINNING])


def asked_for(kind: str) -> str | None:
    """Return the instruction of a background job without the conversation that it quotes.

    None if the quoted text is what is asked: an answer is made of several.
    """
    asked: str | None = _told()[kind].get("asked")
    return asked


@lru_cache(maxsize=1024)
def _kind(beginning: str) -> str | None:
    lower = beginning.lower()
    for kind, told in _told().items():
        if any(hint in lower for hint in told["hints"]) and _pattern(kind).search(beginning):
            return kind
    return None


@cache
def _told() -> dict[str, Any]:
    folder = files("collegium.router.applications")
    return tomllib.loads(folder.joinpath("background_jobs.toml").read_text(encoding="utf-8"))


@cache
def _pattern(kind: str) -> re.Pattern[str]:
    told = _told()[kind]
    phrases = [phrase.replace("{chat}", _CHAT) for phrase in told["phrases"]]
    if words := told.get("near_chat"):
        phrases += [rf"(?:{words})[^\n]{{0,80}}{_CHATS}", rf"{_CHATS}[^\n]{{0,60}}(?:{words})"]
    return re.compile("|".join(phrases), re.IGNORECASE)
