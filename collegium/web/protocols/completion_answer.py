"""Encode an answer's events as OpenAI's completions, in chunks or as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from collegium.experts.aggregation.events import Event
from collegium.experts.clients.endpoints import ENDPOINT
from collegium.experts.clients.events import Began, Json
from collegium.web.protocols.chat_answer import ChatEncoder, WholeChat
from collegium.web.protocols.chat_request import ChatRequest
from collegium.web.serving.decide import Decided
from collegium.web.serving.outcome import Outcome

REASONING = ("reasoning_content", "reasoning")


class CompletionEncoder(ChatEncoder):
    """Encodes one answer as a chat's, and gives each choice the shape of a completion's."""

    def __init__(
        self, decided: Decided, chat: ChatRequest, *, first: int = 0, echoed: str = ""
    ) -> None:
        super().__init__(decided, chat)
        self._choices = Choices(first, echoed)
        self._named = {"id": f"cmpl-{decided.decision.id}", "object": "text_completion"}
        self._head |= self._named

    def join(self, other: CompletionEncoder) -> None:
        """Write under the id of another answer, which reports the usage of both at its end."""
        self._named["id"] = self._head["id"] = other._head["id"]
        self._usage = False

    def usage_chunk(self, usage: Json) -> Json:
        """The chunk that only contains usage."""
        return {**self._head, "choices": [], "usage": usage}

    def _begin(self, event: Began) -> None:
        super()._begin(event)
        self._choices.begin(event)
        self._head.pop(ENDPOINT, None)
        self._head |= self._named

    def _chunk(self, choice: Json, **labels: Any) -> Json:
        rest = {k: v for k, v in choice.items() if k != "delta"}
        return super()._chunk(self._choices.shaped(choice.get("delta") or {}, rest), **labels)


class WholeCompletion(WholeChat):
    """Puts one answer together as a whole completion."""

    def __init__(
        self, decided: Decided, chat: ChatRequest, *, first: int = 0, echoed: str = ""
    ) -> None:
        super().__init__(decided, chat)
        self._choices = Choices(first, echoed)

    def take(self, event: Event) -> None:
        """Add an event."""
        if isinstance(event, Began):
            self._choices.begin(event)
        super().take(event)

    def body(self, outcome: Outcome) -> Json:
        """The completion."""
        body = super().body(outcome)
        body.pop(ENDPOINT, None)
        shaped = [
            self._choices.shaped(c["message"], {k: v for k, v in c.items() if k != "message"})
            for c in body["choices"]
        ]
        decision = self._decided.decision.id
        return body | {"id": f"cmpl-{decision}", "object": "text_completion", "choices": shaped}


class Choices:
    """Gives the choices of one answer their numbers, their echo, and log-probabilities as lists."""

    def __init__(self, first: int, echoed: str) -> None:
        self._first = first
        self._echoed = echoed
        self._native = False
        self._offsets: dict[int, int] = {}
        """The number of characters received for each choice."""

    def begin(self, event: Began) -> None:
        """Note whether the expert completes: then the echo and the lists are its own."""
        self._native = event.head.get(ENDPOINT) == "completions"

    def shaped(self, said: Mapping[str, Any], choice: Json) -> Json:
        """A choice, or a part of one."""
        number, text = choice["index"], str(said.get("content") or "")
        offset = self._offsets.get(number)
        if offset is None:
            offset, echoed = 0, "" if self._native else self._echoed
            text, offset = echoed + text, len(echoed)
        self._offsets[number] = offset + len(str(said.get("content") or ""))
        logprobs = choice.get("logprobs")
        if not self._native:
            logprobs = _as_lists(logprobs, offset)
        thoughts = {name: said[name] for name in REASONING if said.get(name)}
        place = {"index": self._first + number, "text": text, "logprobs": logprobs}
        return {**choice, **place, "finish_reason": choice.get("finish_reason"), **thoughts}


def _as_lists(logprobs: Any, offset: int) -> Json | None:
    """Convert a chat's log-probabilities to the format of completions; None if there are none."""
    content = logprobs.get("content") if isinstance(logprobs, Mapping) else None
    if not isinstance(content, list):
        return None
    tokens = [each for each in content if isinstance(each, Mapping)]
    texts = [str(each.get("token", "")) for each in tokens]
    offsets = [offset]
    for text in texts[:-1]:
        offsets.append(offsets[-1] + len(text))
    return {
        "tokens": texts,
        "token_logprobs": [each.get("logprob") for each in tokens],
        "top_logprobs": [_top(each.get("top_logprobs")) for each in tokens],
        "text_offset": offsets if texts else [],
    }


def _top(told: Any) -> dict[str, Any]:
    alternatives = told if isinstance(told, list) else []
    return {str(t.get("token")): t.get("logprob") for t in alternatives if isinstance(t, Mapping)}
