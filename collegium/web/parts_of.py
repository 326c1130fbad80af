"""Dependencies that handlers declare in their signatures: single parts of the service."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends, Request
from starlette.requests import HTTPConnection

from collegium.experts.fleet import Fleet
from collegium.experts.registration import Registration
from collegium.registry.bulk.batches import BatchRegistry
from collegium.registry.bulk.file_store import FileStore
from collegium.registry.bulk.files import FileRegistry
from collegium.registry.decisions.log import DecisionLog
from collegium.registry.decisions.retention import Retention
from collegium.registry.experts import ExpertRegistry
from collegium.settings import Settings
from collegium.web.batch.inbox import Inbox
from collegium.web.serving.budgets import Budgets
from collegium.web.serving.catalogue import Catalogue
from collegium.web.serving.parts import Parts
from collegium.web.serving.recognition import Recognition


def parts_of(request: HTTPConnection) -> Parts:
    """The parts that the application was made with."""
    parts: Parts = request.app.state.parts
    return parts


def _part(name: str) -> Callable[[Request], Coroutine[Any, Any, Any]]:
    """A dependency that gives one part. It is async, for FastAPI would call another in a thread."""

    async def part(request: Request) -> Any:
        return getattr(parts_of(request), name)

    return part


async def _all_parts(request: Request) -> Parts:
    return parts_of(request)


BatchesDep = Annotated[BatchRegistry, Depends(_part("batches"))]
CatalogueDep = Annotated[Catalogue, Depends(_part("catalogue"))]
RecognitionDep = Annotated[Recognition, Depends(_part("recognition"))]
RegistrationDep = Annotated[Registration, Depends(_part("registration"))]
FilesDep = Annotated[FileRegistry, Depends(_part("files"))]
FileStoreDep = Annotated[FileStore, Depends(_part("file_store"))]
FleetDep = Annotated[Fleet, Depends(_part("fleet"))]
InboxDep = Annotated[Inbox, Depends(_part("inbox"))]
LogDep = Annotated[DecisionLog, Depends(_part("log"))]
BudgetsDep = Annotated[Budgets, Depends(_part("budgets"))]
PartsDep = Annotated[Parts, Depends(_all_parts)]
RetentionDep = Annotated[Retention, Depends(_part("retention"))]
RegistryDep = Annotated[ExpertRegistry, Depends(_part("registry"))]
SettingsDep = Annotated[Settings, Depends(_part("settings"))]
