"""POST /v1/embeddings and /v1/rerank: by an expert that serves them, or by our own encoder."""

from __future__ import annotations

import base64
import secrets
import time
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from collegium.errors import BadRequest, CollegiumError
from collegium.experts.clients.counting import estimated_tokens
from collegium.experts.clients.endpoints import serves
from collegium.experts.clients.events import Json
from collegium.experts.clients.usage import Tokens
from collegium.registry.decisions.records import DecisionRecord, OutcomeRecord, Status
from collegium.registry.key import Caller
from collegium.router.virtual_models import VIRTUAL_MODELS
from collegium.web.auth import owner_of
from collegium.web.lean_route import JsonResponse, LeanRoute
from collegium.web.parts_of import parts_of
from collegium.web.protocols.chat_request import application_name
from collegium.web.protocols.embeddings import (
    EmbeddingRequest,
    RerankRequest,
    embeddings_of,
    ranking_of,
)
from collegium.web.protocols.sessions import session_of
from collegium.web.routes.answering import (
    APPLICATION,
    ApplicationName,
    SessionId,
    answer,
    unless_client_leaves,
)
from collegium.web.serving.embedder import Embedded
from collegium.web.serving.parts import Parts
from collegium.web.serving.permissions import check_application
from collegium.web.serving.shapes import COST, in_digits

routes = APIRouter(route_class=LeanRoute)
REASON = "`auto` is the service's own encoder, which its router reads with."


@routes.post("/v1/embeddings")
async def embeddings(
    request: Request, body: EmbeddingRequest, _: SessionId = None, __: ApplicationName = None
) -> Response:
    """Embed texts: `auto` with the service's own encoder, otherwise with the named expert."""
    parts = parts_of(request)
    meant = parts.aliases.resolve(body.model, await parts.catalogue.now())
    if meant in VIRTUAL_MODELS:
        return await _own(request, parts, body)
    return await answer(request, embeddings_of(body))


@routes.post("/v1/rerank")
async def rerank(
    request: Request, body: RerankRequest, _: SessionId = None, __: ApplicationName = None
) -> Response:
    """Rank documents by relevance to a query; `auto` is the first expert that supports it."""
    parts = parts_of(request)
    experts = await parts.catalogue.now()
    if parts.aliases.resolve(body.model, experts) in VIRTUAL_MODELS:
        caller: Caller = request.state.caller
        asked = (e for e in experts if e.enabled and caller.permits(e.name))
        able = [e.name for e in asked if serves(e, "rerank")]
        body.model = able[0] if able else body.model
    return await answer(request, ranking_of(body))


async def _own(request: Request, parts: Parts, body: EmbeddingRequest) -> Response:
    inputs = body.inputs()
    texts = [each for each in inputs if isinstance(each, str)]
    if len(texts) < len(inputs):
        words = "The service's own encoder takes texts; for tokens name an expert in `model`"
        raise BadRequest(words, "input")
    named = request.headers.get(APPLICATION)
    check_application(request.state.caller, named and application_name(named, APPLICATION))
    account = Account(request, parts, body.model)
    admitted = parts.budgets.admitted(
        request.state.caller, tokens=sum(map(estimated_tokens, texts)), decision=account.id
    )
    async with admitted as limits:
        embedded = await _embedded(request, parts, account, texts, body.dimensions)
    if embedded is None:
        return Response(status_code=499)  # nobody reads it
    headers = {
        "x-collegium-expert": embedded.encoder,
        "x-collegium-decision-id": account.id,
        COST: in_digits(0.0),
        **limits,
    }
    return JsonResponse(_shown(embedded, body, account), headers=headers)


async def _embedded(
    request: Request, parts: Parts, account: Account, texts: list[str], dimensions: int | None
) -> Embedded | None:
    """The vectors, accounted for; None if the client left before they were made."""
    try:
        embedded = await unless_client_leaves(request, parts.embedder.embed(texts))
        if embedded is None:
            return None
        size = embedded.vectors.shape[1]
        if dimensions not in (None, size):
            raise BadRequest(
                f"dimensions must be {size} or left out: the service's own encoder supports no "
                "other size",
                "dimensions",
            )
        await account.done(embedded)
    except CollegiumError as exc:
        await account.failed(exc)
        raise
    return embedded


def _shown(embedded: Embedded, body: EmbeddingRequest, account: Account) -> Json:
    as_text = body.encoding_format == "base64"
    rows = embedded.vectors.astype("<f4")
    vectors: list[Any] = (
        [base64.b64encode(row.tobytes()).decode() for row in rows] if as_text else rows.tolist()
    )
    usage = {"prompt_tokens": embedded.tokens, "total_tokens": embedded.tokens}
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": vector}
            for index, vector in enumerate(vectors)
        ],
        "model": embedded.encoder,
        "usage": usage,
        "collegium": {**account.shown, "truncated": list(embedded.cut)},
    }


class Account:
    """The decision and outcome of embeddings made here: without forecasts and texts."""

    def __init__(self, request: Request, parts: Parts, model: str) -> None:
        self.id = f"dec_{secrets.token_hex(12)}"
        self.shown: Json = {}
        self._parts = parts
        self._model = model
        self._session, self._owner = session_of(request.headers, {}), owner_of(request)
        self._team: str | None = request.state.caller.team
        self._at, self._started = datetime.now(UTC), time.perf_counter()

    async def done(self, embedded: Embedded) -> None:
        """They are made."""
        outcome = await self._settle(embedded.encoder, "ok", tokens=embedded.tokens)
        self.shown = {
            "decision": {"id": self.id, "expert": embedded.encoder, "reason": REASON},
            "outcome": outcome,
        }

    async def failed(self, error: CollegiumError) -> None:
        """They can't be made."""
        await self._settle("encoder", "error", error=error.public)

    async def _settle(
        self, encoder: str, status: Status, *, tokens: int = 0, error: str | None = None
    ) -> Json:
        parts, latency_ms = self._parts, 1000 * (time.perf_counter() - self._started)
        decision = DecisionRecord(
            self.id,
            self._at,
            requested_model=self._model,
            expert=encoder,
            policy="named",
            confidence=0.0,
            reason=REASON,
            session=self._session,
            owner=self._owner,
            team=self._team,
        )
        fields: Json = {"prompt_tokens": tokens, "completion_tokens": 0, "estimated": True}
        outcome = OutcomeRecord(
            self.id, status, error, cost_usd=0.0, latency_ms=latency_ms, expert=encoder, **fields
        )
        await parts.log.record(decision)
        parts.background.spawn(parts.log.finish(outcome))
        parts.metrics.called(encoder, Tokens(input=tokens), 0.0, estimated=True)
        parts.metrics.answered(encoder, status, latency_ms, None)
        return {"status": status, "expert": encoder, "cost_usd": 0.0, **fields}
