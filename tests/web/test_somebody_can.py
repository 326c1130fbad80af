"""No request for `auto` is refused while an expert that is able would answer it.

Experts are made up, with what they take and what is known of it, and so are conversations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collegium.errors import ExpertRejected
from collegium.experts.clients.counting import prompt_tokens
from collegium.experts.clients.reply import Call
from tests.web.conftest import Web

NAMES = ("sql", "lists", "general")
PARTS: Mapping[str, Any] = {
    "images": {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
    "audio": {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
    "files": {"type": "file", "file": {"file_id": "file-1"}},
}
FIELDS: Mapping[str, Any] = {
    "tools": {"tools": [{"type": "function", "function": {"name": "look"}}]},
    "json_schema": {"response_format": {"type": "json_schema", "json_schema": {"schema": {}}}},
    "json_object": {"response_format": {"type": "json_object"}},
    "logprobs": {"logprobs": True},
    "n": {"n": 2},
}
ABILITIES = (*PARTS, *FIELDS)
WORDS = ("sql", "lists", "poems", "何か", "write")


@dataclass(frozen=True)
class Mind:
    """An expert: what it takes, of which of that it is known, and how much it holds."""

    has: frozenset[str]
    unknown: frozenset[str]
    window: int
    window_known: bool

    @property
    def known(self) -> dict[str, bool]:
        """What the registry is told."""
        return {name: name in self.has for name in ABILITIES if name not in self.unknown}

    def takes(self, body: Mapping[str, Any]) -> bool:
        """Whether it answers a request, as a strict upstream does."""
        longest = max(body.get("max_tokens") or 1, body.get("max_completion_tokens") or 1)
        return needed(body) <= self.has and prompt_tokens(body) + longest <= self.window

    def able(self, body: Mapping[str, Any]) -> bool:
        """Whether it would answer a request with a shorter answer, if need be."""
        one = {k: v for k, v in body.items() if k not in ("max_tokens", "max_completion_tokens")}
        return self.takes(one)


def needed(body: Mapping[str, Any]) -> frozenset[str]:
    """What a body has to be taken by, as this test sees it."""
    kinds = {
        part["type"]
        for message in body["messages"]
        if isinstance(message["content"], list)
        for part in message["content"]
    }
    parts = {name for name, part in PARTS.items() if part["type"] in kinds}
    fields = {
        name for name, each in FIELDS.items() if all(body.get(k) == v for k, v in each.items())
    }
    return frozenset(parts | fields)


some = st.frozensets(st.sampled_from(ABILITIES))


@st.composite
def minds(draw: st.DrawFn) -> Mind:
    """One expert. What is unknown of it may be there or not."""
    has, unknown = draw(some), draw(some)
    window = draw(st.sampled_from([600, 2048, 4096, 32_768]))
    known = draw(st.booleans()) or window != 2048
    return Mind(has, unknown, window, known)


@st.composite
def bodies(draw: st.DrawFn) -> dict[str, Any]:
    """A conversation of up to three turns, and some fields."""
    text = st.text("a ", max_size=200) | st.sampled_from(WORDS)
    part = st.sampled_from([*PARTS.values()])
    content = text | st.lists(
        st.builds(lambda t: {"type": "text", "text": t}, text) | part, min_size=1, max_size=3
    )
    turns = draw(st.lists(content, max_size=2))
    messages = [m for turn in turns for m in (_said("user", turn), _said("assistant", "yes"))]
    last = draw(part | st.builds(lambda t: {"type": "text", "text": f"sql {t}"}, text))
    body: dict[str, Any] = {"messages": [*messages, _said("user", [last])]}
    for fields in draw(st.lists(st.sampled_from([*FIELDS.values()]), max_size=2)):
        body |= fields
    length = draw(st.none() | st.sampled_from([1, 100, 1500, 4096, 100_000]))
    return body if length is None else body | {"max_tokens": length}


def _said(role: str, content: Any) -> dict[str, Any]:
    return {"role": role, "content": content}


def refusal(name: str, mind: Mind) -> Any:
    """What an expert raises where it does not take what it is asked."""

    def raised(call: Call) -> ExpertRejected | None:
        return None if mind.takes(call.body) else ExpertRejected(name, "does not take this")

    return raised


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(pool=st.tuples(minds(), minds(), minds()), body=bodies(), stream=st.booleans())
async def test_auto_finds_somebody_who_can(
    web: Web, pool: tuple[Mind, ...], body: dict[str, Any], stream: bool
) -> None:
    """Nobody is asked who is known not to be able; nobody able means a clear refusal."""
    for name, mind in zip(NAMES, pool, strict=True):
        capabilities = {**mind.known, "window_known": mind.window_known}
        await web.parts.registry.update(name, capabilities=capabilities, context_window=mind.window)
        web.experts[name].refusal = refusal(name, mind)
        web.experts[name].asked.clear()
    answered = await web.http.post("/v1/chat/completions", json={**body, "stream": stream})
    able = [name for name, mind in zip(NAMES, pool, strict=True) if mind.able(body)]
    told = f"{answered.status_code} {answered.text[:500]}, able: {able}"
    for name, mind in zip(NAMES, pool, strict=True):
        lacks = needed(body) - mind.has - mind.unknown
        assert not (lacks and web.experts[name].asked), told
    if able:
        assert answered.status_code == 200, told
        assert answered.headers["x-collegium-expert"] in able
    else:
        assert answered.status_code in (400, 422), told
