"""The parts of a request that its response repeats, with our own id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from collegium.experts.clients.events import Json
from collegium.web.protocols.responses.output import Output
from collegium.web.protocols.responses.request import ResponsesRequest
from collegium.web.protocols.responses.tools import offers_of


@dataclass(frozen=True)
class Asked:
    """A request that was read, and the name of the response to it."""

    request: ResponsesRequest
    id: str
    created: int
    items: Sequence[Json]
    """The items of the input."""
    before: tuple[str, ...] = ()
    """The ids of the conversation's earlier responses, oldest first."""
    stored: bool = False
    """Whether the response will be kept."""

    @property
    def session(self) -> str | None:
        """The conversation that it belongs to, by its first response."""
        first = self.before[0] if self.before else self.id
        return f"resp:{first}" if self.stored or self.before else None

    def output(self) -> Output:
        """Return the object that assembles the output."""
        return Output(
            self.id,
            offers_of(self.request.tools or ()),
            as_summary=self.request.wants_summary(),
            logprobs=self.request.wants_logprobs(),
        )

    def response(self, status: str, model: str, output: Sequence[Json] = ()) -> Json:
        """Return the response in its present state."""
        asked = self.request
        text = {"format": {"type": "text"}}
        if asked.text is not None:
            text |= asked.text.model_dump(exclude_none=True)
        reasoning = None if asked.reasoning is None else asked.reasoning.model_dump()
        return {
            "id": self.id,
            "object": "response",
            "created_at": self.created,
            "status": status,
            "background": False,
            "error": None,
            "incomplete_details": None,
            "instructions": asked.instructions,
            "max_output_tokens": asked.max_output_tokens,
            "max_tool_calls": asked.max_tool_calls,
            "metadata": asked.metadata or {},
            "model": model,
            "output": list(output),
            "parallel_tool_calls": asked.parallel_tool_calls is not False,
            "previous_response_id": asked.previous_response_id,
            "prompt_cache_key": asked.prompt_cache_key,
            "reasoning": {"effort": None, "summary": None} | (reasoning or {}),
            "safety_identifier": asked.safety_identifier,
            "store": self.stored,
            "temperature": asked.temperature,
            "text": text,
            "tool_choice": asked.tool_choice or "auto",
            "tools": asked.tools or [],
            "top_logprobs": asked.top_logprobs or 0,
            "top_p": asked.top_p,
            "truncation": "disabled",
            "usage": None,
            "user": asked.user,
        }
