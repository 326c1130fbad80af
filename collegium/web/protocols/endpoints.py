"""The endpoints that answer conversations, by path, and how each of them parses a body."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from collegium.errors import BadRequest
from collegium.router.virtual_models import VIRTUAL_MODELS
from collegium.web.protocols.chat_answer import Chat
from collegium.web.protocols.chat_request import ChatRequest
from collegium.web.protocols.protocol import Parsed

CHAT, RESPONSES = "/v1/chat/completions", "/v1/responses"
MESSAGES = "/v1/messages"
COMPLETIONS, EMBEDDINGS = "/v1/completions", "/v1/embeddings"
Reader = Callable[[Mapping[str, Any]], Parsed]
"""Reads a body; pydantic's ValidationError or BadRequest say what is wrong with it."""


def _chat(body: Mapping[str, Any]) -> Parsed:
    return Chat(ChatRequest.model_validate(body))


def _responses(body: Mapping[str, Any]) -> Parsed:
    from collegium.web.protocols.responses.parsed import read_line  # for those that use it

    return read_line(body)


def _messages(body: Mapping[str, Any]) -> Parsed:
    from collegium.web.protocols.messages_answer import read_line  # likewise

    return read_line(body)


def _completion(body: Mapping[str, Any]) -> Parsed:
    from collegium.web.protocols.completions import CompletionRequest, completions_of

    first, *others = completions_of(CompletionRequest.model_validate(body))
    if others:
        raise BadRequest("A line takes one prompt: give each prompt its own line", "prompt")
    return first


def _embedding(body: Mapping[str, Any]) -> Parsed:
    from collegium.web.protocols.embeddings import EmbeddingRequest, embeddings_of

    request = EmbeddingRequest.model_validate(body)
    if request.model in VIRTUAL_MODELS:
        raise BadRequest(
            "Name an expert for /embeddings: jobs don't use the service's own encoder", "model"
        )
    return embeddings_of(request)


READERS: Mapping[str, Reader] = {
    CHAT: _chat,
    RESPONSES: _responses,
    MESSAGES: _messages,
    COMPLETIONS: _completion,
    EMBEDDINGS: _embedding,
}
"""A line of a bulk job may be for any of these."""
