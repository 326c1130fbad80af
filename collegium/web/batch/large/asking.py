"""Ask the running service, for as long as it may take until it can answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from collegium.errors import CollegiumError
from collegium.experts.bulk.crew import work_through

TIMEOUT_S = 600.0
LONGEST_WAIT_S = 10.0
MOST_FAULTS = 8
"""An answer of 500 or 502 is the line's own error after so many."""
AWAY = (429, 503)
Item = TypeVar("Item")


class ServiceAway(CollegiumError):
    """The service has not answered for too long."""


@dataclass(frozen=True)
class Service:
    """Where the service is, and how it is asked."""

    url: str
    key: str | None = None
    at_once: int = 32
    patience_s: float = 600.0
    """How long it may be away before the job ends, to be gone on with later."""

    async def each(
        self, items: Iterable[Item], work: Callable[[httpx.AsyncClient, Item], Awaitable[None]]
    ) -> None:
        """Work on all items, `at_once` at a time."""
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        limits = httpx.Limits(max_connections=self.at_once)
        async with httpx.AsyncClient(
            base_url=self.url, headers=headers, timeout=TIMEOUT_S, limits=limits
        ) as http:
            await work_through(items, lambda item: work(http, item), at_once=self.at_once)

    async def post(
        self, http: httpx.AsyncClient, path: str, body: Mapping[str, Any]
    ) -> tuple[int, Any]:
        """The status and the JSON of an answer; raise ServiceAway if there is none for too long."""
        waited, faults = 0.0, 0
        while True:
            try:
                response = await http.post(path, json=body)
                faults += response.status_code >= 500 and response.status_code not in AWAY
                final = response.status_code < 500 and response.status_code not in AWAY
                if final or faults >= MOST_FAULTS:
                    return response.status_code, response.json()
                why = f"it answers {response.status_code}"
            except (httpx.HTTPError, ValueError) as exc:
                why = str(exc) or type(exc).__name__
            if waited >= self.patience_s:
                raise ServiceAway(
                    f"the service at {self.url} does not answer ({why}); run the command again "
                    "when it does, and the job goes on"
                )
            pause_s = min(LONGEST_WAIT_S, 0.5 + waited / 4)
            waited += pause_s
            await asyncio.sleep(pause_s)
