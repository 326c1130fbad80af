"""Promote versions of the router, and roll them back.

This process decides by the new version when a function returns; other replicas follow within two
seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from collegium.errors import LearningRefused
from collegium.registry.learning.router_versions import RouterVersion
from collegium.web.serving.parts import Parts

OWN = "the router of the folder or the package"
STEPS = (0.01, 0.1, 1.0)
"""The shares of the traffic through which an automatic promotion proceeds."""


async def try_in_shadow(parts: Parts, version_id: str) -> RouterVersion:
    """Let a version decide beside the serving router."""
    version = await parts.router_versions.get(version_id)
    if version.status == "serving":
        raise LearningRefused(f"{version_id} is already serving")
    await _loads(parts, version_id)
    await parts.router_versions.become(version_id, "shadow")
    await parts.router_follower.follow()
    return await parts.router_versions.get(version_id)


async def promote_version(
    parts: Parts,
    version_id: str,
    *,
    share: float = 1.0,
    applications: Sequence[str] = (),
    unconfirmed: bool = False,
    automatic: bool = False,
) -> RouterVersion:
    """Let a version decide a share of the traffic; raise LearningRefused if no evidence supports
    it.

    All of the traffic of all applications makes it the serving version.
    """
    version = await parts.router_versions.get(version_id)
    if version.status == "serving":
        raise LearningRefused(f"{version_id} is already serving; undo that with `rollback`")
    for key in applications:
        await parts.recognition.get(key)  # 404 where nobody asks by that name
    if version.report is not None and not version.report.get("confirmed") and not unconfirmed:
        raise LearningRefused(
            f"{version_id} was fitted on marks of which too few are confirmed, so what it would "
            "lose is unknown: confirm more with `collegium learn confirm`, or promote it with "
            "--unconfirmed"
        )
    await _loads(parts, version_id)
    share = STEPS[0] if automatic else share
    whole = share >= 1 and not applications
    await parts.router_versions.become(
        version_id,
        "serving" if whole else "canary",
        share=share,
        applications=list(applications),
        automatic=automatic,
    )
    await parts.router_follower.follow()
    return await parts.router_versions.get(version_id)


async def roll_back(parts: Parts, reason: str = "") -> tuple[RouterVersion, str]:
    """End the trial in progress, or else retire the serving version; return the version and its
    successor.

    What served before a serving version serves again: the latest one that retired for it, else
    the router of the folder or the package.
    """
    registry = parts.router_versions
    versions = await registry.list()
    by_status = {version.status: version for version in versions}
    tried = by_status.get("canary") or by_status.get("shadow")
    gone = tried or by_status.get("serving")
    if gone is None:
        raise LearningRefused("no version is on trial or serving, so there is nothing to roll back")
    await registry.become(gone.id, "rolled_back", detail=reason or "rolled back by an operator")
    serving = by_status.get("serving") if tried is not None else None
    if tried is None:
        before = [v for v in versions if v.status == "retired" and v.served]
        if before:
            serving = max(before, key=lambda v: v.changed_at)
            await registry.become(serving.id, "serving", detail="served before")
    await parts.router_follower.follow()
    return await registry.get(gone.id), serving.id if serving else OWN


async def _loads(parts: Parts, version_id: str) -> None:
    """Refuse a version whose files are damaged or were fitted on another encoder."""
    files = await parts.router_versions.files(version_id)
    await asyncio.to_thread(parts.router_maker.from_files, *files, version_id)
