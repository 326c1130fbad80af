"""Stored responses, with which callers continue a conversation."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from collegium.errors import BadRequest, UnknownResponse
from collegium.experts.clients.events import Json
from collegium.registry.decisions.responses import ResponseRecord
from collegium.registry.storage.connections import to_json
from collegium.registry.storage.pages import Scope
from collegium.web.serving.decide import Decided
from collegium.web.serving.recording import Recorder

log = logging.getLogger(__name__)
THOUGHTS = "rs_"
"""Prefixes of the ids of reasoning items. Experts are never sent them, so they need not be stored.
"""
MOST_EARLIER = 500
"""Responses of one conversation, or of which one request names items."""
IDS = ("id", "call_id", "previous_response_id")
LONGEST_ID = 128


@dataclass(frozen=True)
class StoredResponse:
    """A response with the items that were sent for it."""

    id: str
    earlier: tuple[str, ...]
    bytes: int
    input: Sequence[Json]
    response: Json


class Shelf(Protocol):
    """A store of responses: the database, or memory."""

    async def add(self, record: ResponseRecord) -> None:
        """Keep a response."""

    async def get(self, ids: Collection[str], *, scope: Scope = None) -> dict[str, ResponseRecord]:
        """Return the responses that exist within the scope."""

    async def delete(self, response_id: str, *, scope: Scope = None) -> bool:
        """Forget a response; returns whether it was there."""


class StoredResponses:
    """Keeps responses for their owners alone, unless the setting `record` is "off"."""

    def __init__(self, registry: Shelf, recorder: Recorder, *, most_bytes: int) -> None:
        self._registry = registry
        self._recorder = recorder
        self._most_bytes = most_bytes

    @property
    def kept(self) -> bool:
        """Whether responses are kept at all."""
        return self._recorder.mode != "off"

    async def keep(
        self, decided: Decided, body: Json, items: Sequence[Json], earlier: tuple[str, ...]
    ) -> None:
        """Keep a response and its input, redacted as all that is recorded."""
        texts: Any = [_with_ids(items, body["id"]), body]
        if self._recorder.redactor is not None:
            redacted = await self._recorder.redactor.value(texts)
            if redacted is None:
                return
            texts = [_ids_restored(redacted[0], texts[0]), _response_restored(redacted[1], body)]
        try:
            sent, answered = (to_json(each) for each in texts)
        except (ValueError, RecursionError) as exc:  # NaN, or nested too deeply
            log.warning("%s is not kept: %s", body["id"], exc)
            return
        await self._registry.add(
            ResponseRecord(
                id=body["id"],
                decision_id=decided.decision.id,
                owner=decided.request.owner,
                earlier=earlier,
                bytes=len(sent.encode()) + len(answered.encode()),
                input=sent,
                response=answered,
            )
        )

    async def get(self, response_id: str, scope: Scope, where: str) -> StoredResponse:
        """Return one response; `where` is the field that named it."""
        found = await self._registry.get([response_id], scope=scope)
        if response_id not in found:
            raise self._unknown(f"response '{response_id}'", where)
        return _read(found[response_id])

    async def delete(self, response_id: str, scope: Scope) -> None:
        """Delete one."""
        if not await self._registry.delete(response_id, scope=scope):
            raise self._unknown(f"response '{response_id}'", "response_id")

    async def conversation(self, last_id: str, scope: Scope) -> list[StoredResponse]:
        """The responses up to this one, oldest first."""
        where = "previous_response_id"
        last = await self.get(last_id, scope, where)
        if len(last.earlier) >= MOST_EARLIER:
            raise BadRequest(
                f"{where}: the conversation has more than {MOST_EARLIER} responses; start a new "
                "one with a summary of it",
                where,
            )
        found = await self._registry.get(last.earlier, scope=scope) if last.earlier else {}
        for name in last.earlier:
            if name not in found:
                raise self._unknown(f"response '{name}', an earlier one of this", where)
        if last.bytes + sum(record.bytes for record in found.values()) > self._most_bytes:
            raise BadRequest(
                f"{where}: the conversation exceeds the largest body (max_body_mib); begin a "
                "new one with a summary of it",
                where,
            )
        return [*(_read(found[name]) for name in last.earlier), last]

    async def items(self, ids: Collection[str], scope: Scope) -> Mapping[str, Json]:
        """Items of kept responses or of their input, by their ids."""
        responses = {found for each in ids if (found := _response_of(each)) is not None}
        if len(responses) > MOST_EARLIER:
            raise BadRequest(f"input references items of more than {MOST_EARLIER} responses")
        records = await self._registry.get(responses, scope=scope) if responses else {}
        known: dict[str, Json] = {}
        for record in records.values():
            stored = _read(record)
            known |= {item["id"]: item for item in (*stored.input, *stored.response["output"])}
        for each in ids:
            if each not in known and not each.startswith(THOUGHTS):
                raise self._unknown(f"item '{each}'", "input")
        return known

    def _unknown(self, what: str, where: str) -> UnknownResponse:
        why = {
            "full": "it was deleted, sent with `store: false`, or is another caller's. Send",
            "prompts": "it was sent with `store: false`, is another caller's, or more than an hour "
            "old (record is 'prompts'). Set record to 'full', or send",
            "off": "this service keeps none (record is 'off'). Set record to 'full', or send",
        }[self._recorder.mode]
        return UnknownResponse(
            f"No {what} is kept: {why} the items themselves in `input`, with `store: false`", where
        )


def _read(record: ResponseRecord) -> StoredResponse:
    sent, answered = json.loads(record.input), json.loads(record.response)
    return StoredResponse(record.id, record.earlier, record.bytes, sent, answered)


def _with_ids(items: Sequence[Json], response_id: str) -> list[Json]:
    """Return each item with an id: the caller's, or one generated from its index."""
    name = response_id.partition("_")[2]
    return [
        {"type": "message", **_in_parts(item), "id": item.get("id") or f"msg_{name}_in{place}"}
        for place, item in enumerate(items)
    ]


def _in_parts(item: Json) -> Json:
    """A message whose content is a text, in the shape that OpenAI lists it in."""
    content = item.get("content")
    if not isinstance(content, str) or item.get("type", "message") != "message":
        return item
    if item.get("role") == "assistant":
        part: Json = {"type": "output_text", "text": content, "annotations": []}
    else:
        part = {"type": "input_text", "text": content}
    return {**item, "content": [part]}


def _response_of(item_id: str) -> str | None:
    """Return the response that one of our items belongs to."""
    parts = item_id.split("_")
    return f"resp_{parts[1]}" if len(parts) == 3 else None


def _ids_restored(redacted: Sequence[Json], original: Sequence[Json]) -> list[Json]:
    """Items that were redacted, with the ids that they are asked for by."""
    return [{**a, **_ids(b)} for a, b in zip(redacted, original, strict=True)]


def _response_restored(redacted: Json, original: Json) -> Json:
    output = _ids_restored(redacted["output"], original["output"])
    return {**redacted, **_ids(original), "output": output}


def _ids(told: Json) -> Json:
    return {k: told[k] for k in IDS if isinstance(told.get(k), str) and len(told[k]) <= LONGEST_ID}
