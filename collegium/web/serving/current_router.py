"""The router that decides now: none until one is loaded, another after a reload."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from collegium.errors import CollegiumError, ExpertUnavailable

if TYPE_CHECKING:
    from collegium.router.router import Router


class CurrentRouter:
    """Holds the router, or says why there is none."""

    def __init__(self, router: Router | None = None) -> None:
        self.progress = "starting"
        self.failure: CollegiumError | None = None
        self._router = router
        self._settled = asyncio.Event()
        if router is not None:
            self._settled.set()

    def get(self) -> Router:
        """The router; ExpertUnavailable until it is loaded, the error where it can't be."""
        if self.failure is not None:
            raise self.failure
        if self._router is None:
            raise ExpertUnavailable("router", f"not ready yet: {self.progress}", retry_after_s=5)
        return self._router

    def put(self, router: Router) -> None:
        """Decide by this router from the next request on."""
        self._router = router
        self._settled.set()

    def fail(self, error: CollegiumError) -> None:
        """Tell everybody who asks for the router why the service could not start."""
        self.failure = error
        self._settled.set()

    async def wait(self) -> Router:
        """Return the router when it is loaded."""
        await self._settled.wait()
        return self.get()

    def waits_for(self) -> str | None:
        """What it waits for, in words; None when there is a router."""
        if self.failure is not None:
            return str(self.failure)
        return self.progress if self._router is None else None
