"""/v1/responses: OpenAI's Responses API, answered by the same experts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from collegium.errors import BadRequest
from collegium.experts.clients.counting import prompt_tokens
from collegium.experts.clients.events import Json
from collegium.registry.storage.pages import Page
from collegium.web.auth import ScopeDep, own_scope
from collegium.web.lean_route import JsonResponse, LeanRoute
from collegium.web.parts_of import PartsDep, parts_of
from collegium.web.protocols.endpoints import RESPONSES
from collegium.web.protocols.responses.request import ResponsesRequest
from collegium.web.routes.answering import ApplicationName, SessionId, answer, named_expert
from collegium.web.routes.files import page_json
from collegium.web.serving.decide import Decided
from collegium.web.serving.parts import Parts

if TYPE_CHECKING:
    from collegium.web.protocols.responses.parsed import Responses
    from collegium.web.serving.stored_responses import StoredResponse, StoredResponses

routes = APIRouter()
ONE = RESPONSES + "/{response_id}"


async def respond(
    request: Request, body: ResponsesRequest, _: SessionId = None, __: ApplicationName = None
) -> Response:
    """Route a request of the Responses API and answer it, whole or as server-sent events."""
    stored = stored_in(parts_of(request))
    parsed = await read(request, body, stored)
    asked = parsed.asked

    if asked.stored and parts_of(request).recorder.mode == "full":
        from collegium.web.serving.storage import require_room  # for who keeps responses

        await require_room(parts_of(request), request.state.caller)

    async def keep(decided: Decided, response: Json) -> None:
        await stored.keep(decided, response, asked.items, asked.before)

    return await answer(request, parsed, session=asked.session, keep=keep if asked.stored else None)


async def input_tokens(request: Request, body: ResponsesRequest) -> Response:
    """About how many tokens an expert reads of a request. Nothing is asked."""
    parts = parts_of(request)
    async with parts.budgets.admitted(request.state.caller) as limits:
        await named_expert(request, body.model)
        parsed = await read(request, body, stored_in(parts))
        counted = prompt_tokens(parsed.chat.upstream())
    told = {"object": "response.input_tokens", "input_tokens": counted}
    return JsonResponse(told, headers=limits)


for path, endpoint in ((RESPONSES, respond), (RESPONSES + "/input_tokens", input_tokens)):
    routes.add_api_route(path, endpoint, methods=["POST"], route_class_override=LeanRoute)


@routes.get(ONE)
async def response(
    response_id: str, parts: PartsDep, scope: ScopeDep, stream: bool = False
) -> Response:
    """Return one stored response."""
    if stream:
        raise BadRequest("stream is not supported for stored responses", "stream")
    found = await stored_in(parts).get(response_id, scope, "response_id")
    return JsonResponse(found.response)


@routes.delete(ONE)
async def delete(response_id: str, parts: PartsDep, scope: ScopeDep) -> Json:
    """Forget a response; its decision stays."""
    await stored_in(parts).delete(response_id, scope)
    return {"id": response_id, "object": "response", "deleted": True}


@routes.get(ONE + "/input_items")
async def input_items(
    response_id: str,
    parts: PartsDep,
    scope: ScopeDep,
    after: str | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    order: Literal["asc", "desc"] = "desc",
) -> Json:
    """Return the input of one response, newest first, without that of earlier responses."""
    found = await stored_in(parts).get(response_id, scope, "response_id")
    return page_json(_page(found, after, limit, order))


def stored_in(parts: Parts) -> StoredResponses:
    """The responses that are kept."""
    from collegium.web.serving.stored_responses import StoredResponses

    most = round(parts.settings.max_body_mib * 2**20)
    written = parts.recorder.mode == "full"
    shelf = parts.responses if written else parts.recent_responses
    return StoredResponses(shelf, parts.recorder, most_bytes=most)


async def read(request: Request, body: ResponsesRequest, stored: StoredResponses) -> Responses:
    """Return the request as a chat, with the stored part of its conversation."""
    from collegium.web.protocols.responses import items
    from collegium.web.protocols.responses.parsed import Before, Reading, references

    scope, before = own_scope(request), Before()
    if body.previous_response_id is not None:
        earlier = await stored.conversation(body.previous_response_id, scope)
        said: list[Any] = [item for each in earlier for item in _said(each)]
        messages = items.messages_of(said, "previous_response_id")
        before = Before(said, messages, tuple(each.id for each in earlier))
    named = references(body)
    known = await stored.items(named, scope) if named else {}
    return Reading(before, known, stores=stored.kept).read(body)


def _said(stored: StoredResponse) -> list[Json]:
    return [*stored.input, *stored.response["output"]]


def _page(stored: StoredResponse, after: str | None, limit: int, order: str) -> Page[Json]:
    items = list(stored.input) if order == "asc" else list(reversed(stored.input))
    if after is not None:
        places = [place for place, item in enumerate(items) if item["id"] == after]
        if not places:
            raise BadRequest(f"after: the input has no item '{after}'", "after")
        items = items[places[0] + 1 :]
    return Page(tuple(items[:limit]), len(items) > limit)
