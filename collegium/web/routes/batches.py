"""/v1/batches: create, read, list and cancel bulk jobs, in OpenAI's format."""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field, field_validator

from collegium.errors import BadRequest, BatchEnded
from collegium.experts.clients.events import Json
from collegium.registry.bulk.batches import BatchRecord
from collegium.registry.key import Caller
from collegium.registry.tables import ENDED
from collegium.web.auth import CallerDep, OwnerFilter, ScopeDep, narrowed
from collegium.web.batch.job_routing import JobRouting
from collegium.web.json_in import CheckedRoute
from collegium.web.parts_of import BatchesDep, CatalogueDep, FilesDep, InboxDep, PartsDep
from collegium.web.protocols.endpoints import READERS
from collegium.web.routes.files import page_json
from collegium.web.serving.catalogue import Catalogue

routes = APIRouter(route_class=CheckedRoute)
PATH = "/v1/batches"
_WINDOW = re.compile(r"([1-9]\d{0,5})([smhd])")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
LONGEST_S = 14 * 86_400


class NewBatch(BaseModel):
    """A bulk job to do."""

    model_config = ConfigDict(extra="forbid")

    input_file_id: Annotated[str, Field(min_length=1, max_length=64)]
    endpoint: str
    completion_window: str = "24h"
    metadata: (
        dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]] | None
    ) = Field(None, max_length=16)
    routing: JobRouting = Field(default_factory=JobRouting)

    @field_validator("endpoint")
    @classmethod
    def _is_known(cls, value: str) -> str:
        if value not in READERS:
            raise ValueError(f"bulk jobs support {', '.join(READERS)}")
        return value


@routes.post(PATH)
async def create(
    body: NewBatch,
    batches: BatchesDep,
    inbox: InboxDep,
    files: FilesDep,
    catalogue: CatalogueDep,
    parts: PartsDep,
    caller: CallerDep,
    scope: ScopeDep,
) -> Json:
    """Create a job, which is validated and run in the background."""
    from collegium.web.serving.storage import require_room  # for who has such jobs

    await require_room(parts, caller)
    source = await files.get(body.input_file_id, scope, param="input_file_id")
    if source.purpose != "batch":
        message = f"file '{source.id}' has the purpose '{source.purpose}', not 'batch'"
        raise BadRequest(message, "input_file_id")
    await _check_capacity(body.routing, catalogue, caller)
    now = datetime.now(UTC)
    record = BatchRecord(
        id=f"batch_{secrets.token_hex(12)}",
        endpoint=body.endpoint,
        input_file_id=source.id,
        completion_window=body.completion_window,
        created_at=now,
        expires_at=now + timedelta(seconds=window_s(body.completion_window)),
        notes=body.metadata or {},
        routing=body.routing.model_dump(exclude_defaults=True),
        owner=caller.owner,
    )
    await batches.add(record)
    inbox.news.set()
    return batch_json(record)


@routes.get(PATH)
async def list_batches(
    batches: BatchesDep,
    scope: ScopeDep,
    owner: OwnerFilter = None,
    after: str | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> Json:
    """Return one page of the caller's jobs, newest first."""
    page = await batches.list(scope=narrowed(scope, owner), after=after, limit=limit)
    return page_json(page.map(batch_json))


@routes.get(PATH + "/{batch_id}")
async def batch(batch_id: str, batches: BatchesDep, scope: ScopeDep) -> Json:
    """Return one job with its progress and the ids of its result files."""
    return batch_json(await batches.get(batch_id, scope))


@routes.post(PATH + "/{batch_id}/cancel")
async def cancel(batch_id: str, batches: BatchesDep, inbox: InboxDep, scope: ScopeDep) -> Json:
    """Cancel a job. Answers so far are kept."""
    await batches.get(batch_id, scope)
    done = await batches.become(batch_id, "cancelling", out_of=("validating", "in_progress"))
    record = await batches.get(batch_id)
    if not done and record.status in ENDED:
        raise BatchEnded(f"the batch is already {record.status}", "batch_id")
    inbox.news.set()
    return batch_json(record)


def window_s(text: str) -> int:
    """The seconds of a completion window such as `24h`."""
    match = _WINDOW.fullmatch(text)
    seconds = int(match[1]) * _UNITS[match[2]] if match else 0
    if not 0 < seconds <= LONGEST_S:
        given = text[:64]
        raise BadRequest(
            "completion_window must be a duration such as '24h' or '30m', at most 14d, "
            f"not {given!r}",
            "completion_window",
        )
    return seconds


def batch_json(record: BatchRecord) -> Json:
    """A job as OpenAI shows it."""
    errors = {"object": "list", "data": list(record.errors)} if record.errors else None
    return {
        "id": record.id,
        "object": "batch",
        "endpoint": record.endpoint,
        "errors": errors,
        "input_file_id": record.input_file_id,
        "completion_window": record.completion_window,
        "status": record.status,
        "output_file_id": record.output_file_id,
        "error_file_id": record.error_file_id,
        "created_at": int(record.created_at.timestamp()),
        "in_progress_at": _seconds(record.in_progress_at),
        "expires_at": int(record.expires_at.timestamp()),
        "finalizing_at": _seconds(record.finalizing_at),
        "completed_at": _seconds(record.completed_at),
        "failed_at": _seconds(record.failed_at),
        "expired_at": _seconds(record.expired_at),
        "cancelling_at": _seconds(record.cancelling_at),
        "cancelled_at": _seconds(record.cancelled_at),
        "request_counts": {
            "total": record.total,
            "completed": record.completed,
            "failed": record.failed,
        },
        "metadata": dict(record.notes) or None,
        "routing": dict(record.routing),
        "money": None if record.money is None else dict(record.money),
    }


async def _check_capacity(routing: JobRouting, catalogue: Catalogue, caller: Caller) -> None:
    known = {expert.name for expert in await catalogue.now() if caller.permits(expert.name)}
    if unknown := sorted(routing.capacity.keys() - known):
        raise BadRequest(
            f"routing.capacity names experts that are not registered: {', '.join(unknown)}",
            "routing.capacity",
        )


def _seconds(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp())
