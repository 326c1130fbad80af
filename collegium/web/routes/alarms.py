"""/v1/alarms: problems that the service detected, for its operator."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from collegium.experts.clients.events import Json
from collegium.registry.learning.alarms import Alarm
from collegium.registry.tables import to_columns
from collegium.web.auth import ADMIN
from collegium.web.parts_of import PartsDep

routes = APIRouter(prefix="/v1/alarms", dependencies=ADMIN)


class Closing(BaseModel):
    """Why an alarm is closed."""

    model_config = ConfigDict(extra="forbid")

    reason: Annotated[str, Field(max_length=500)] = ""


@routes.get("")
async def alarms(
    parts: PartsDep,
    status: Literal["open", "closed", "all"] = "open",
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Json:
    """The latest alarms, newest first."""
    found = await parts.alarms.list(open_only=status == "open", limit=limit)
    shown = [a for a in found if status != "closed" or a.closed_at is not None]
    return {"object": "list", "data": [alarm_json(alarm) for alarm in shown]}


@routes.post("/{alarm_id}/close")
async def close(alarm_id: str, body: Closing, parts: PartsDep) -> Json:
    """Close an alarm, and restore the forecasts that it lowered."""
    return alarm_json(await parts.alarms.close(alarm_id, body.reason or "closed by an operator"))


def alarm_json(alarm: Alarm) -> Json:
    """An alarm as the API shows it."""
    status = "open" if alarm.closed_at is None else "closed"
    return {"object": "alarm", "status": status, **to_columns(alarm)}
