"""The error for a request that several experts failed to answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from collegium.errors import (
    CapabilityMissing,
    CollegiumError,
    ContentRefused,
    ExpertBusy,
    ExpertError,
    ExpertMisconfigured,
    ExpertRejected,
    ExpertTimeout,
    ExpertUnavailable,
    PromptTooLong,
)
from collegium.registry.expert import Expert

ORDER: tuple[type[CollegiumError], ...] = (
    ContentRefused,
    ExpertRejected,
    ExpertBusy,
    ExpertUnavailable,
    ExpertTimeout,
    PromptTooLong,
    CapabilityMissing,
    ExpertMisconfigured,
    ExpertError,
)
"""First errors that the caller can fix, then temporary ones, then permanent ones."""
LATER = (ExpertBusy, ExpertUnavailable)
REFUSED = (ExpertRejected, PromptTooLong)


@dataclass(frozen=True)
class Failure:
    """An expert that gave no answer."""

    expert: Expert
    error: ExpertError | PromptTooLong
    asked: bool
    """Whether it was actually asked, rather than skipped as busy or unhealthy."""


def most_telling(failures: Sequence[Failure]) -> CollegiumError:
    """Return the most informative error, with a retry delay and the experts that were asked."""
    best = min(failures, key=lambda failure: _rank(failure.error))
    told = best.error
    waits = [f.error.retry_after_s for f in failures if isinstance(f.error, LATER)]
    if isinstance(told, LATER):
        told.retry_after_s = min((s for s in waits if s is not None), default=None)
    others = [f"'{f.expert.name}': {_why(f.error)}" for f in failures if f is not best]
    told.others = f" (also asked: {'; '.join(others)})" if others else ""
    return told


def is_unclear(error: CollegiumError) -> bool:
    """Whether a refusal may be for the request itself: then another expert refuses it, too."""
    if isinstance(error, CapabilityMissing):
        return not error.capability
    return isinstance(error, ExpertRejected)


def _rank(error: CollegiumError) -> int:
    if isinstance(error, CapabilityMissing):
        return ORDER.index(CapabilityMissing)
    if isinstance(error, ExpertMisconfigured):
        return ORDER.index(ExpertMisconfigured)
    return next(rank for rank, kind in enumerate(ORDER) if isinstance(error, kind))


def _why(error: CollegiumError) -> str:
    if isinstance(error, CapabilityMissing) and error.capability:
        return f"{error.code} ({error.capability})"
    return error.code
