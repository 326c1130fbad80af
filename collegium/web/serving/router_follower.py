"""Keeps the routers in use in step with the folder and the registry, without a restart."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime
from typing import TYPE_CHECKING

from collegium.errors import CollegiumError
from collegium.registry.background import Repeating
from collegium.registry.learning.router_versions import RouterVersion, RouterVersions
from collegium.router.artifact import CARD, folder_of
from collegium.settings import Settings
from collegium.web.serving.current_router import Canary, CurrentRouter
from collegium.web.serving.recognition import Recognition
from collegium.web.serving.router_maker import RouterMaker

if TYPE_CHECKING:
    from collegium.router.router import Router

log = logging.getLogger(__name__)
EVERY_S = 2.0
"""Polling interval; all replicas use a promoted version within this time."""


class RouterFollower:
    """Loads the routers at the start, and follows promotions, rollbacks and new files."""

    def __init__(
        self,
        settings: Settings,
        versions: RouterVersions,
        current: CurrentRouter,
        maker: RouterMaker,
        recognition: Recognition,
    ) -> None:
        self._settings = settings
        self._versions = versions
        self._current = current
        self._maker = maker
        self._recognition = recognition
        self._folder = settings.router_dir
        self._stamp = self._stamped()
        self._following = asyncio.Lock()
        self._revision: datetime | None = None
        self._loaded: dict[str, Router] = {}
        self._loop = Repeating(
            self._look, EVERY_S, name="routers", failing="the router stays as it was"
        )

    async def load(self) -> None:
        """Load the router of the folder or the package, and the versions that are active."""
        if self._current.waits_for() is not None:
            await self._from_folder()
        await self.follow()
        self._loop.start()

    async def close(self) -> None:
        """Stop polling."""
        await self._loop.close()

    async def follow(self) -> None:
        """Apply the versions' present roles, if any has changed."""
        async with self._following:
            revision = await self._versions.revision()
            if revision != self._revision:
                await self._take_over()
                self._revision = revision

    async def _take_over(self) -> None:
        current = self._current
        roles = {version.status: version for version in await self._versions.list(active=True)}
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

    async def _look(self) -> None:
        """Follow promotions, and take over the folder's router if its files are new."""
        await self.follow()
        if self._folder is not None and (now := self._stamped()) != self._stamp:
            self._stamp = now
            await self._from_folder()
            log.info("decides by the router that was written to %s", self._folder)

    async def _from_folder(self) -> None:
        router = await asyncio.to_thread(self._maker.from_folder)
        self._recognition.know(router.fitted.applications)
        self._current.put(router)

    async def _version(self, version: RouterVersion) -> Router | None:
        """A version's router; None if its files are damaged, so that the present one stays."""
        if version.id not in self._loaded:
            try:
                files = await self._versions.files(version.id)
                router = await asyncio.to_thread(self._maker.from_files, *files, version.id)
            except CollegiumError as exc:
                log.error("router version %s can't be used: %s", version.id, exc)
                return None
            self._recognition.know(router.fitted.applications)
            self._loaded[version.id] = router
            log.info("router version %s is %s", version.id, version.status)
        return self._loaded[version.id]

    def _stamped(self) -> tuple[int, int]:
        """Return what changes with the folder's card; an empty value if there is none."""
        try:
            found = (folder_of(self._settings) / CARD).stat()
        except OSError:
            return 0, 0
        return found.st_mtime_ns, found.st_ino
