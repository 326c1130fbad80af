"""Embeddings in OpenAI's format, and rankings in that of Jina, Cohere and vLLM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema, field_validator

from collegium.errors import BadRequest
from collegium.experts.aggregation.events import Event
from collegium.experts.clients.counting import estimated_tokens
from collegium.experts.clients.endpoints import ENDPOINT, RESULTS
from collegium.experts.clients.events import Json
from collegium.experts.clients.native import Native
from collegium.experts.clients.reply import Fold
from collegium.web.protocols.chat_request import default_for_null, panel_models
from collegium.web.protocols.completions import SCHEMA, StandIn
from collegium.web.protocols.protocol import Encoder
from collegium.web.serving.decide import Decided
from collegium.web.serving.outcome import Outcome
from collegium.web.serving.shapes import decided_json
from collegium.web.wording import json_kind

MOST_INPUTS, MOST_DOCUMENTS = 2048, 1000
LONGEST_INPUT, MOST_TOKENS = 32_768, 300_000
"""Characters of one text; tokens of all together, as OpenAI has it."""
OURS = ("model",)
Input = str | list[int]
Count = Annotated[int, Field(ge=1, lt=2**31)]


class EmbeddingRequest(BaseModel):
    """A request for embeddings in OpenAI's shape."""

    model_config = ConfigDict(extra="allow", strict=True)

    model: Annotated[str, Field(min_length=1)] = "auto"
    input: Annotated[Any, WithJsonSchema(SCHEMA)]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Count | None = None

    _nulls = field_validator("model", "encoding_format", mode="before")(
        classmethod(default_for_null)
    )

    def inputs(self) -> list[Input]:
        """The texts, or tokens; BadRequest says what is wrong."""
        given = self.input
        one = isinstance(given, str) or (isinstance(given, list) and given and _is_token(given[0]))
        inputs = [given] if one else given
        if not isinstance(inputs, list) or not inputs:
            told = "not an empty list" if inputs == [] else f"not {json_kind(given)}"
            raise BadRequest(
                f"input must be a string, an array of tokens, or a list of these, {told}", "input"
            )
        if len(inputs) > MOST_INPUTS:
            raise BadRequest(f"input must have at most {MOST_INPUTS} items", "input")
        for place, each in enumerate(inputs):
            _check(each, "input" if one else f"input[{place}]")
        if sum(map(_tokens, inputs)) > MOST_TOKENS:
            raise BadRequest(f"input must have at most {MOST_TOKENS} tokens in total", "input")
        return inputs


class RerankRequest(BaseModel):
    """A request to rank documents, in the shape that Jina, Cohere and vLLM share."""

    model_config = ConfigDict(extra="allow", strict=True)

    model: Annotated[str, Field(min_length=1)] = "auto"
    query: Annotated[str, Field(min_length=1, max_length=LONGEST_INPUT)]
    documents: Annotated[
        list[str | dict[str, Any]], Field(min_length=1, max_length=MOST_DOCUMENTS, fail_fast=True)
    ]
    top_n: Count | None = None

    _nulls = field_validator("model", mode="before")(classmethod(default_for_null))


@dataclass(frozen=True)
class Results:
    """A request that is answered with data and not with text, as `Parsed`."""

    chat: StandIn
    endpoint: str

    def encoder(self, decided: Decided) -> Encoder:
        """Raise BadRequest: embeddings are not streamed."""
        raise BadRequest(f"/{self.endpoint} can't be streamed: leave `stream` out", "stream")

    def whole(self, decided: Decided) -> WholeResults:
        """Return the encoder of a whole answer."""
        return WholeResults(decided, RESULTS[self.endpoint])


def embeddings_of(request: EmbeddingRequest) -> Results:
    """Return the call for an expert that serves embeddings."""
    inputs = request.inputs()
    text = "\n".join(each for each in inputs if isinstance(each, str)) or "tokens"
    return _results("embeddings", "An embedding", request, text, max(map(_tokens, inputs)))


def ranking_of(request: RerankRequest) -> Results:
    """Return the call for an expert that serves rankings."""
    texts = [d if isinstance(d, str) else str(d.get("text", "")) for d in request.documents]
    longest = max(map(_tokens, texts)) + _tokens(request.query)
    text = "\n".join([request.query, *texts])
    return _results("rerank", "A ranking", request, text, longest)


def _results(
    endpoint: str, what: str, request: EmbeddingRequest | RerankRequest, text: str, longest: int
) -> Results:
    """The request with a chat in its place; `longest` is what has to fit a context window."""
    if (request.model_extra or {}).get("stream"):
        raise BadRequest(f"/{endpoint} can't be streamed: leave `stream` out", "stream")
    if request.model in panel_models():
        raise BadRequest(f"{what} is one expert's: name it in `model`, not a panel", "model")
    given = request.model_dump(exclude_unset=True, exclude={*OURS})
    body = {name: value for name, value in given.items() if value is not None}
    said = [{"role": "user", "content": text}]
    chat = StandIn.model_validate({"messages": said, "model": request.model})
    chat._native = Native(endpoint, body, needed_for=what, prompt_tokens=longest)
    return Results(chat, endpoint)


class WholeResults:
    """Puts an answer together as its endpoint has it."""

    def __init__(self, decided: Decided, field: str) -> None:
        self._decided = decided
        self._field = field
        self._fold = Fold()

    def take(self, event: Event) -> None:
        """Add an event."""
        self._fold.take(event)

    def body(self, outcome: Outcome) -> Json:
        """The results with their model and our labels."""
        answer = self._fold.answer()
        head = {name: value for name, value in answer.head.items() if name != ENDPOINT}
        usage = {} if outcome.usage is None else {"usage": outcome.usage}
        decided = decided_json(self._decided, outcome.shown.get("tried"))
        labels = {"decision": decided, "outcome": outcome.shown}
        return {
            **head,
            "object": "list",
            self._field: answer.choices[0]["message"].get(self._field, []),
            "model": outcome.answered_by,
            **usage,
            "collegium": labels,
        }


def _check(given: Any, where: str) -> None:
    if isinstance(given, list) and given and all(map(_is_token, given)):
        return
    if not isinstance(given, str):
        raise BadRequest(f"{where} must be a string or tokens, not {json_kind(given)}", where)
    if not given.strip():
        raise BadRequest(f"{where} must not be empty", where)
    if len(given) > LONGEST_INPUT:
        raise BadRequest(f"{where} must have at most {LONGEST_INPUT} characters", where)


def _tokens(given: Input) -> int:
    return len(given) if isinstance(given, list) else estimated_tokens(given)


def _is_token(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**31
