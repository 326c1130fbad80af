"""OpenAI's older completions API: a prompt is continued, or answered if it can't be.

An expert that serves `/completions` gets the prompt as it is. Others are asked as in a chat, with
the prompt as the user's message.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    WithJsonSchema,
    field_validator,
)

from collegium.errors import BadRequest
from collegium.experts.clients.native import Native
from collegium.router.virtual_models import VIRTUAL_MODELS
from collegium.web.protocols.chat_request import (
    ChatRequest,
    Routing,
    StreamOptions,
    default_for_null,
    panel_models,
)
from collegium.web.wording import json_kind

if TYPE_CHECKING:
    from collegium.web.protocols.completion_answer import CompletionEncoder, WholeCompletion
    from collegium.web.serving.decide import Decided

MOST_PROMPTS = 128
USUAL_TOKENS = 16
"""OpenAI's default."""
TEXT: Any = {"type": "string"}
TOKENS: Any = {"type": "array", "items": {"type": "integer", "minimum": 0}}
SCHEMA: Any = {
    "anyOf": [TEXT, TOKENS, {"type": "array", "items": TEXT}, {"type": "array", "items": TOKENS}]
}
OURS = ("model", "prompt", "routing", "stream", "stream_options")
NOT_OF_CHATS = ("prompt", "echo", "suffix", "best_of", "logprobs", "max_tokens")
Prompt = str | list[int]
Count = Annotated[int, Field(ge=1, lt=2**31)]


class CompletionRequest(BaseModel):
    """A completion request in OpenAI's shape, with `routing` beside it."""

    model_config = ConfigDict(extra="allow", strict=True)

    model: Annotated[str, Field(min_length=1)] = "auto"
    prompt: Annotated[Any, WithJsonSchema(SCHEMA)]
    """A text or a list of texts; tokens or a list of them only for an expert that is named."""
    max_tokens: Annotated[int, Field(ge=0, lt=2**31)] = USUAL_TOKENS
    n: Annotated[int, Field(ge=1, le=16)] = 1
    best_of: Annotated[int, Field(ge=1, le=20)] | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    echo: bool = False
    logprobs: Annotated[int, Field(ge=0, le=100)] | None = None
    suffix: str | None = None
    routing: Routing = Field(default_factory=Routing)

    _nulls = field_validator(
        "model", "max_tokens", "n", "stream", "echo", "routing", mode="before"
    )(classmethod(default_for_null))


class StandIn(ChatRequest):
    """A chat that stands for a request to another endpoint."""

    _native: Native | None = PrivateAttr(default=None)

    def native(self) -> Native | None:
        """The request itself."""
        return self._native


@dataclass(frozen=True)
class Completion:
    """One prompt of a request, as `Parsed`."""

    request: CompletionRequest
    prompt: Prompt
    chat: ChatRequest
    first: int = 0
    """The number of its first choice among those of all prompts."""

    @property
    def echoed(self) -> str:
        """The text that precedes a chat's answer, which doesn't repeat the prompt."""
        return self.prompt if self.request.echo and isinstance(self.prompt, str) else ""

    def encoder(self, decided: Decided) -> CompletionEncoder:
        """Return the encoder of a streamed answer."""
        from collegium.web.protocols.completion_answer import CompletionEncoder

        return CompletionEncoder(decided, self.chat, first=self.first, echoed=self.echoed)

    def whole(self, decided: Decided) -> WholeCompletion:
        """Return the encoder of a whole answer."""
        from collegium.web.protocols.completion_answer import WholeCompletion

        return WholeCompletion(decided, self.chat, first=self.first, echoed=self.echoed)


def completions_of(request: CompletionRequest) -> list[Completion]:
    """Return one completion per prompt; raise BadRequest or pydantic's ValidationError if one is
    invalid.
    """
    if "messages" in (request.model_extra or {}):
        raise BadRequest("messages are for /v1/chat/completions: send `prompt` here", "messages")
    prompts = _prompts(request.prompt)
    routed = request.model in VIRTUAL_MODELS or request.model in panel_models()
    if routed and any(not isinstance(prompt, str) for prompt in prompts):
        raise BadRequest(
            "A prompt of tokens needs an expert by its name in `model`, for each has tokens of its "
            "own: send text to be routed",
            "prompt",
        )
    if request.best_of is not None and request.best_of < request.n:
        raise BadRequest(f"best_of must be at least n, which is {request.n}", "best_of")
    return [
        Completion(request, prompt, _chat(request, prompt), number * request.n)
        for number, prompt in enumerate(prompts)
    ]


def _prompts(given: Any) -> list[Prompt]:
    if isinstance(given, str) or (isinstance(given, list) and given and _is_token(given[0])):
        return [_checked(given, "prompt")]
    if not isinstance(given, list) or not given:
        told = "not an empty list" if given == [] else f"not {json_kind(given)}"
        raise BadRequest(
            f"prompt must be a string, an array of tokens, or a list of these, {told}", "prompt"
        )
    if len(given) > MOST_PROMPTS:
        raise BadRequest(f"prompt must have at most {MOST_PROMPTS} items", "prompt")
    return [_checked(prompt, f"prompt[{place}]") for place, prompt in enumerate(given)]


def _checked(prompt: Any, where: str) -> Prompt:
    if isinstance(prompt, list) and prompt and all(map(_is_token, prompt)):
        return prompt
    if not isinstance(prompt, str):
        raise BadRequest(f"{where} must be a string or tokens, not {json_kind(prompt)}", where)
    if not prompt.strip():
        raise BadRequest(f"{where} must not be empty", where)
    return prompt


def _is_token(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**31


def _chat(request: CompletionRequest, prompt: Prompt) -> ChatRequest:
    """The chat that asks for the same, and has the completion with it."""
    given = {**request.model_dump(exclude_unset=True), "model": request.model}
    if request.n == 1:  # maybe null
        given.pop("n", None)
    native = {name: v for name, v in given.items() if name not in OURS and v is not None}
    native |= {"prompt": prompt, "max_tokens": request.max_tokens}
    chat = {name: v for name, v in given.items() if name not in NOT_OF_CHATS}
    if request.logprobs is not None:
        chat |= {"logprobs": True, "top_logprobs": request.logprobs}
    said = prompt if isinstance(prompt, str) else " ".join(map(str, prompt))
    chat |= {
        "messages": [{"role": "user", "content": said}],
        "max_tokens": max(request.max_tokens, 1),
        "routing": request.routing,
    }
    asked = StandIn.model_validate(chat)
    tokens = None if isinstance(prompt, str) else len(prompt)
    asked._native = Native(
        "completions", native, needed_for=_needed_for(request, prompt), prompt_tokens=tokens
    )
    return asked


def _needed_for(request: CompletionRequest, prompt: Prompt) -> str | None:
    """Return the requested features that a chat completion can't provide."""
    wanted: Sequence[tuple[bool, str]] = (
        (not isinstance(prompt, str), "A prompt of tokens"),
        (request.echo and request.logprobs is not None, "`echo` with `logprobs`"),
        (request.max_tokens == 0, "`max_tokens` of 0"),
        (request.suffix is not None, "`suffix`"),
        ((request.best_of or 1) > request.n, "`best_of` above `n`"),
    )
    return next((words for needed, words in wanted if needed), None)
