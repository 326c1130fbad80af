"""Keeps the routers that decide as the folder and the registry have them, without a restart."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime
from typing import TYPE_CHECKING

from collegium.errors import CollegiumError
from collegium.registry.router_versions import RouterVersion
from collegium.router.artifact import BUNDLED, CARD
from collegium.web.serving.current_router import Canary
from collegium.web.serving.parts import Parts

if TYPE_CHECKING:
    from collegium.router.router import Router

log = logging.getLogger(__name__)
EVERY_S = 2.0
"""Between two looks: so soon do all replicas decide by a version that was promoted."""


class RouterFollower:
    """Loads the routers at the start, and follows what is promoted, rolled back or written."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._folder = parts.settings.router_dir
        self._stamp = self._stamped()
        self._revision: datetime | None = None
        self._loaded: dict[str, Router] = {}
        self._work: asyncio.Task[None] | None = None

    async def load(self) -> None:
        """Load the router of the folder or the package, and the versions that are active."""
        if self._parts.router.waits_for() is not None:
            await self._from_folder()
        await self.follow()
        self._work = asyncio.create_task(self._run(), name="routers")

    async def close(self) -> None:
        """Follow nothing more."""
        if self._work is not None:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)

    async def follow(self) -> None:
        """Take over the versions' present roles, where any changed."""
        versions, current = self._parts.router_versions, self._parts.router
        revision = await versions.revision()
        if revision == self._revision:
            return
        roles = {version.status: version for version in await versions.list(active=True)}
        routers = {status: await self._version(v) for status, v in roles.items()}
        current.promote(routers.get("serving"))
        canary, trying = roles.get("canary"), routers.get("canary")
        current.canary = (
            None
            if canary is None or trying is None
            else Canary(trying, canary.share, frozenset(canary.applications))
        )
        current.shadow = routers.get("shadow")
        kept = {version.id for version in roles.values()}
        self._loaded = {name: router for name, router in self._loaded.items() if name in kept}
        self._revision = revision

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                await self.follow()
                if self._folder is not None and (now := self._stamped()) != self._stamp:
                    self._stamp = now
                    await self._from_folder()
                    log.info("decides by the router that was written to %s", self._folder)
            except Exception as exc:  # noqa: BLE001  whatever a file holds, the next may be right
                log.warning("the router stays as it was: %s", exc)

    async def _from_folder(self) -> None:
        router = await asyncio.to_thread(self._parts.router_maker.from_folder)
        self._parts.recognition.know(router.fitted.applications)
        self._parts.router.put(router)

    async def _version(self, version: RouterVersion) -> Router | None:
        """A version's router; None where its files are damaged: what served before goes on."""
        if version.id not in self._loaded:
            try:
                files = await self._parts.router_versions.files(version.id)
                maker = self._parts.router_maker
                router = await asyncio.to_thread(maker.from_files, *files, version.id)
            except CollegiumError as exc:
                log.error("router version %s can't be used: %s", version.id, exc)
                return None
            self._parts.recognition.know(router.fitted.applications)
            self._loaded[version.id] = router
            log.info("router version %s is %s", version.id, version.status)
        return self._loaded[version.id]

    def _stamped(self) -> tuple[int, int]:
        """What changes with the folder's card; nothing where there is none."""
        try:
            found = ((self._folder or BUNDLED) / CARD).stat()
        except OSError:
            return 0, 0
        return found.st_mtime_ns, found.st_ino
