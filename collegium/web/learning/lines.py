"""The prompts of a learning run, from a file of JSON lines or from the log."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from collegium.errors import BadRequest
from collegium.experts.clients.counting import estimated_tokens
from collegium.experts.dispatch.terms import ANY_TIME
from collegium.registry.key import Caller
from collegium.router.applications.signals import Signals
from collegium.router.decision import Query
from collegium.web.protocols.chat_request import ChatRequest, application_name
from collegium.web.serving.prepare import prepare
from collegium.web.wording import problems_in_words

Json = dict[str, Any]
MOST_FAULTS = 5
"""Faulty lines that an error message names."""
MOST_PROMPTS = 20_000
BOM = b"\xef\xbb\xbf"
NOT_REPLAYED = (
    "model", "stream", "stream_options", "routing", "user", "metadata", "store",
    "n", "best_of", "service_tier",
)  # fmt: skip
"""Fields of a request that say nothing of what an expert answers, or only make it dearer."""

ASKED = ("messages", "tools", "functions", "response_format")
"""The fields that make two requests the same question."""


class PromptLine(BaseModel):
    """One line of a file: a prompt or a whole chat request, and how its answers are marked."""

    model_config = ConfigDict(extra="forbid")

    prompt: str | None = None
    messages: list[Json] | None = None
    request: Json | None = None
    body: Json | None = None
    """An alias of `request`, as lines of OpenAI's batches have it."""
    custom_id: str | None = None
    method: str | None = None
    url: str | None = None
    application: str | None = None
    reference: Any = None
    checker: str | Json | None = None
    answers: dict[str, str | Json] = Field(default_factory=dict)
    """Answers that are there already, by expert: text, or an assistant's message."""


@dataclass(frozen=True)
class Logged:
    """An answer that already exists, with its usage if known."""

    message: Json
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost_usd: float | None = None
    latency_ms: float | None = None
    by_run: bool = False
    """Whether an earlier run requested it: such an answer is not part of the traffic."""


@dataclass(frozen=True)
class Replayed:
    """One request to replay, validated."""

    query: Query
    body: Json
    """The body that experts are sent."""
    reference: Any = None
    checker: Json | None = None
    logged: Mapping[str, Logged] = field(default_factory=dict)
    """Answers that need not be paid for again, by expert."""
    ratings: Mapping[str, float] = field(default_factory=dict)
    """The ratings that people gave experts' answers to it, 0 to 1, by expert."""
    application: str | None = None
    decision_id: str | None = None

    @property
    def digest(self) -> str:
        """Identifies equal questions across runs, whatever their length limits."""
        asked = {name: self.body[name] for name in ASKED if name in self.body}
        text = json.dumps([asked, self.query.signals.tag], sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:32]


def read_prompts(source: Iterable[bytes]) -> list[Replayed]:
    """Read a file of JSON lines; BadRequest names the first faulty lines."""
    found: list[Replayed] = []
    faults: list[str] = []
    for number, raw in enumerate(source, start=1):
        raw = raw.removeprefix(BOM) if number == 1 else raw
        if not raw.strip():
            continue
        try:
            found.append(_read(raw))
        except (ValueError, RecursionError, BadRequest) as exc:
            faults.append(f"line {number}: {_words(exc)}")
        if len(found) > MOST_PROMPTS:
            raise BadRequest(
                f"The file has more than {MOST_PROMPTS} prompts; send a sample of them"
            )
    if faults:
        more = len(faults) - MOST_FAULTS
        shown = "; ".join(faults[:MOST_FAULTS]) + (f"; and {more} more" if more > 0 else "")
        raise BadRequest(f"The file of prompts can't be read: {shown}", "input_file_id")
    if not found:
        raise BadRequest(
            "The file contains no prompts: write one JSON object per line", "input_file_id"
        )
    return _distinct(found)


def replayed(
    asked: Mapping[str, Any],
    *,
    application: str | None = None,
    tenant: str = "",
    known_as: str | None = None,
    reference: Any = None,
    checker: str | Json | None = None,
    logged: Mapping[str, Logged] | None = None,
    ratings: Mapping[str, float] | None = None,
    decision_id: str | None = None,
) -> Replayed:
    """Check one request; ValueError or BadRequest say what is wrong with it.

    `application` is its tag; `known_as` the key of the application that the log says it is of.
    """
    body = {name: value for name, value in asked.items() if name not in NOT_REPLAYED}
    request = ChatRequest.model_validate(body)
    prepared = prepare(request, ANY_TIME, application=application, caller=Caller(tenant))
    return Replayed(
        prepared.query,
        prepared.body,
        reference,
        {"name": checker} if isinstance(checker, str) else checker,
        dict(logged or {}),
        dict(ratings or {}),
        application=known_as,
        decision_id=decision_id,
    )


def signals_json(signals: Signals) -> Json:
    """Signals as they are kept."""
    return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(signals).items()}


def _read(raw: bytes) -> Replayed:
    fields = json.loads(raw.decode("utf-8-sig"))  # of bytes, the encoding would be guessed
    json.dumps(fields, allow_nan=False)  # NaN and 1e999 are no JSON, and can't be kept
    line = PromptLine.model_validate(fields, strict=True)
    given = [n for n in ("prompt", "messages", "request", "body") if getattr(line, n) is not None]
    if len({*given} - {"body", "request"}) > 1 or {"request", "body"} <= {*given}:
        raise ValueError(f"{' and '.join(given)} are mutually exclusive: give one of them")
    asked: Json = line.request or line.body or {}
    if line.messages is not None:
        asked = {**asked, "messages": line.messages}
    elif line.prompt is not None:
        asked = {**asked, "messages": [{"role": "user", "content": line.prompt}]}
    if "messages" not in asked:
        raise ValueError("give `prompt`, `messages` or `request`")
    logged = {expert: _message(answer) for expert, answer in line.answers.items()}
    named = line.application
    return replayed(
        asked,
        application=None if named is None else application_name(named, "application"),
        reference=line.reference,
        checker=line.checker,
        logged=logged,
    )


def _message(answer: str | Json) -> Logged:
    given = {"content": answer} if isinstance(answer, str) else answer
    message = {"role": "assistant", **given}
    return Logged(message, completion_tokens=estimated_tokens(str(message.get("content") or "")))


def _words(exc: Exception) -> str:
    if isinstance(exc, json.JSONDecodeError):
        return f"it is not valid JSON: {exc.msg} at column {exc.colno}"
    if isinstance(exc, ValidationError):
        model: type[BaseModel] = PromptLine if exc.title == "PromptLine" else ChatRequest
        problems = exc.errors()
        where, words = next(iter(problems_in_words(problems, model).items()))
        return f"{where if problems[0]['loc'] else 'it'} {words}"
    return "it is nested too deeply" if isinstance(exc, RecursionError) else str(exc)


def _distinct(prompts: Iterable[Replayed]) -> list[Replayed]:
    """Keep the first of equal requests: repeated ones teach nothing new."""
    first: dict[str, Replayed] = {}
    for prompt in prompts:
        first.setdefault(prompt.digest, prompt)
    return list(first.values())
