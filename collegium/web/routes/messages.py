"""POST /v1/messages and /v1/messages/count_tokens: Anthropic's Messages API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from collegium.errors import BadRequest
from collegium.experts.clients.counting import prompt_tokens
from collegium.experts.clients.native import Native
from collegium.experts.clients.reply import Call
from collegium.experts.presets import with_preset
from collegium.registry.capabilities import takes
from collegium.registry.expert import RUN_HERE, Expert
from collegium.web.lean_route import JsonResponse, LeanRoute
from collegium.web.parts_of import parts_of
from collegium.web.protocols.messages_request import CountRequest, MessagesRequest
from collegium.web.request_id import PRESENT
from collegium.web.routes.answering import ApplicationName, SessionId, answer, named_expert
from collegium.web.serving.parts import Parts

routes = APIRouter(route_class=LeanRoute)
BETAS, LONGEST_BETAS = "anthropic-beta", 2048
COUNTED = "x-collegium-counted"
"""The header that says who counted: the `expert`, or we by an `estimate`."""


@routes.post("/v1/messages")
async def messages(
    request: Request, body: MessagesRequest, _: SessionId = None, __: ApplicationName = None
) -> Response:
    """Route a conversation in Anthropic's shape and answer it, whole or as server-sent events."""
    from collegium.web.protocols.messages_answer import Messages  # for those that use it

    response = await answer(request, Messages.of(body, _betas(request)))
    response.headers["request-id"] = PRESENT.get()
    return response


@routes.post("/v1/messages/count_tokens")
async def count_tokens(request: Request, body: CountRequest) -> Response:
    """Count the tokens of a prompt by the named expert's tokenizer, or estimate them."""
    from collegium.web.protocols.messages_chat import to_count  # likewise

    parts, (chat, native) = parts_of(request), to_count(body)
    async with parts.budgets.admitted(request.state.caller) as limits:
        expert = await named_expert(request, body.model)
        counted = None if expert is None else await _own_count(parts, expert, native)
    by = "estimate" if counted is None else "expert"
    if counted is None:
        counted = prompt_tokens(_read_by(expert, chat))
    return JsonResponse({"input_tokens": counted}, headers={COUNTED: by, **limits})


async def _own_count(parts: Parts, expert: Expert, native: Native) -> int | None:
    """Count by the expert's own tokenizer; None if it can't be asked. Our engines run vLLM."""
    if expert.preset is not None or not (expert.kind in RUN_HERE or takes(expert, "messages")):
        return None
    return await parts.pool.count_tokens(expert, native)


def _read_by(expert: Expert | None, chat: Mapping[str, Any]) -> Mapping[str, Any]:
    """The prompt with what the expert's preset adds."""
    return chat if expert is None else with_preset(Call(expert, chat)).body


def _betas(request: Request) -> str | None:
    """Return the caller's Anthropic beta flags, for experts that support them."""
    betas = request.headers.get(BETAS)
    if betas is not None and (len(betas) > LONGEST_BETAS or not betas.isprintable()):
        raise BadRequest(f"The header {BETAS} is longer than {LONGEST_BETAS} characters", BETAS)
    return betas
