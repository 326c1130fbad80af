"""Signs in the messages of a conversation that its expert is stuck.

The same tool call again, the same error again, an empty answer, a user who says that it is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from collegium.router.conversation import text_of
from collegium.router.followups import corrects
from collegium.router.wrappers import without_wrappers

RECENT = 24
"""Messages that are read: an expert that found its way since is not stuck."""
ODDS = 0.04
"""The factor by which each sign multiplies the odds that an expert is correct."""
STUCK = 2
"""Signs from which an expert is left, whatever it has in its cache."""
SUREST = 0.99
LONGEST_ERROR = 500
"""Characters by which errors are compared."""
RESULTS = ("tool", "function")
_ERROR = re.compile(
    r"\b(?:error|exception|traceback|fail(?:ed|ure)|fatal|panic|denied|invalid|not found|no such|"
    r"cannot|can't|unable|timed out)\b",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"0x[0-9a-f]+|\d+")
Message = Mapping[str, Any]


@dataclass(frozen=True)
class Signs:
    """The number of signs, and the latest one in words. A plain one counts twice."""

    count: int = 0
    words: str = ""


def believed(quality: float, signs: int) -> float:
    """Return P(correct) after this many signs that an expert is stuck."""
    if not signs:
        return quality
    sure = min(max(quality, 0.0), SUREST)
    odds = sure / (1 - sure) * ODDS**signs
    return odds / (1 + odds)


def in_tool_loop(messages: Sequence[Message]) -> bool:
    """Whether the newest message brings a tool's result; what agents add to it is passed over."""
    for message in reversed(messages):
        if _brings_result(message):
            return True
        if message.get("role") != "user" or not message.get("content"):
            return False
        if not isinstance(message["content"], str) or without_wrappers(message["content"]):
            return False
    return False


def continues(messages: Sequence[Message]) -> bool:
    """Whether an expert has answered in the conversation before."""
    return any(message.get("role") == "assistant" for message in messages)


def signs_of(messages: Sequence[Message]) -> Signs:
    """The signs in the newest messages."""
    watch = _Watch()
    for message in messages[-RECENT:]:
        watch.see(message)
    watch.end_turn()
    return Signs(watch.count, watch.words)


class _Watch:
    """Reads messages in order, and compares each turn of the expert with the ones before."""

    def __init__(self) -> None:
        self.count = 0
        self.words = ""
        self._calls: tuple[str, ...] = ()
        self._names = ""
        self._results: list[str] = []
        self._last: tuple[str, ...] = ()
        self._seen: set[tuple[tuple[str, ...], tuple[str, ...]]] = set()
        self._errors: set[str] = set()

    def see(self, message: Message) -> None:
        """Take the next message."""
        role = message.get("role")
        if _brings_result(message):
            self._results.append(_result_of(message))
        elif role == "assistant":
            self.end_turn()
            self._calls, self._names = _calls_of(message)
            if not self._calls and _says_nothing(message):
                self._sign("an empty answer")
        elif role == "user":
            self.end_turn()
            if corrects(without_wrappers(text_of(message))):
                self._sign("the user says that it is wrong")

    def end_turn(self) -> None:
        """Compare the turn that is over with those before."""
        if not self._calls:
            return
        turn = self._calls, tuple(self._results)
        errors = {_plain(text) for text in self._results if _ERROR.search(text[:LONGEST_ERROR])}
        if self._results and turn in self._seen:
            self._sign(f"the same call of {self._names} again", counts=STUCK)
        elif self._calls == self._last:
            self._sign(f"the same call of {self._names} again")
        elif errors & self._errors:
            self._sign(f"the same error of {self._names} again")
        self._seen.add(turn)
        self._errors |= errors
        self._last, self._calls, self._results = self._calls, (), []

    def _sign(self, words: str, *, counts: int = 1) -> None:
        self.count += counts
        self.words = words


def _brings_result(message: Message) -> bool:
    if message.get("role") in RESULTS:
        return True
    content = message.get("content")
    parts = content if message.get("role") == "user" and isinstance(content, list) else []
    return any(isinstance(p, Mapping) and p.get("type") == "tool_result" for p in parts)


def _result_of(message: Message) -> str:
    content = message.get("content")
    if isinstance(content, list):
        results = [p.get("content") for p in content if isinstance(p, Mapping) and "content" in p]
        return text_of(message) or "\n".join(map(str, results))
    return content if isinstance(content, str) else ""


def _calls_of(message: Message) -> tuple[tuple[str, ...], str]:
    """Return each call's name and arguments, and the names in words."""
    calls = message.get("tool_calls")
    listed = calls if isinstance(calls, list) else []
    functions = [c.get("function") for c in listed if isinstance(c, Mapping)]
    functions.append(message.get("function_call"))
    told = [f for f in functions if isinstance(f, Mapping)]
    names = ", ".join(dict.fromkeys(str(f.get("name"))[:64] for f in told))
    return tuple(sorted(f"{f.get('name')} {f.get('arguments')}" for f in told)), names


def _says_nothing(message: Message) -> bool:
    """Whether an answer is empty: no text, refusal, image or anything else."""
    others = (value for name, value in message.items() if name not in ("role", "content", "name"))
    content = message.get("content")
    parts = content if isinstance(content, list) else []
    if any(not isinstance(part, Mapping) or "text" not in part for part in parts):
        return False
    return not text_of(message).strip() and not any(others)


def _plain(error: str) -> str:
    """An error without the numbers that differ each time."""
    return _NUMBER.sub("#", error[:LONGEST_ERROR].lower())
