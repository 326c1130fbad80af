"""The routers in use: the serving one, and one on trial."""

from __future__ import annotations

import asyncio
import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from collegium.errors import CollegiumError, ExpertUnavailable

if TYPE_CHECKING:
    from collegium.router.router import Router


@dataclass(frozen=True)
class Canary:
    """A router that decides a share of the requests of some applications; of all, if none."""

    router: Router
    share: float
    applications: frozenset[str] = frozenset()

    def takes(self, application: str | None, at: float) -> bool:
        """Whether it decides a request that lies `at` in [0, 1)."""
        return at < self.share and (not self.applications or application in self.applications)


class CurrentRouter:
    """Holds the routers, or the reason why there is none.

    `base` comes from the settings' folder or the package; a promoted version takes its place.
    """

    def __init__(
        self, router: Router | None = None, *, draw: Callable[[], float] = random.random
    ) -> None:
        self.progress = "starting"
        self.failure: CollegiumError | None = None
        self.canary: Canary | None = None
        self.shadow: Router | None = None
        """Decides in parallel with the serving router; its decisions are only recorded."""
        self._base = router
        self._promoted: Router | None = None
        self._draw = draw
        self._settled = asyncio.Event()
        if router is not None:
            self._settled.set()

    def get(self) -> Router:
        """The serving router; ExpertUnavailable until it is loaded, or why it can't be."""
        if self.failure is not None:
            raise self.failure
        router = self._promoted or self._base
        if router is None:
            raise ExpertUnavailable("router", f"not ready yet: {self.progress}", retry_after_s=5)
        return router

    def of(self, application: str | None, session: str | None) -> Router:
        """The router of a request: all of a session are decided by the same one."""
        serving = self.get()
        if self.canary is None:
            return serving
        at = self._draw()
        if session is not None:
            name = f"{self.canary.router.version} {session}".encode(errors="surrogatepass")
            at = zlib.crc32(name) / 2**32
        return self.canary.router if self.canary.takes(application, at) else serving

    def put(self, router: Router) -> None:
        """Take the router of the folder or the package."""
        self._base = router
        self._settled.set()

    def promote(self, router: Router | None) -> None:
        """Let a version decide instead of the base router; None to end that."""
        self._promoted = router

    def fail(self, error: CollegiumError) -> None:
        """Report to every request why the service could not start."""
        self.failure = error
        self._settled.set()

    async def wait(self) -> Router:
        """Return the router when it is loaded."""
        await self._settled.wait()
        return self.get()

    def waits_for(self) -> str | None:
        """Describe what the service waits for; None once there is a router."""
        if self.failure is not None:
            return str(self.failure)
        return self.progress if self._base is None and self._promoted is None else None
