"""An application: a source of requests, as the registry stores it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collegium.registry.clock import utc_now

Signature = NDArray[np.uint64]
TEXT_LENGTH = 500


def no_signature() -> Signature:
    """The signature of an application that is known by its tag alone."""
    return np.empty(0, dtype=np.uint64)


@dataclass(frozen=True, eq=False)
class Application:
    """One application, recognised by its tag or by what its requests have in common."""

    key: str
    name: str = ""
    """The display name; empty until somebody sets one."""
    tenant: str = ""
    tagged: bool = False
    text: str = ""
    """The beginning of a system prompt of its and the names of its tools."""
    signature: Signature = field(default_factory=no_signature)
    """The MinHash of what recurs in its requests: compare two with `fingerprint.similarity`."""
    seen: int = 0
    """Requests so far."""
    variants: int = 1
    """Different texts among them, as far as they were compared."""
    first_seen: datetime = field(default_factory=utc_now)
    last_seen: datetime = field(default_factory=utc_now)
    merged_into: str | None = None
    """The application that its requests count for."""
    pinned: bool = False
    """A person merged or split it, so similarity never merges it into another."""
    policy: Mapping[str, Any] = field(default_factory=dict)
    """The policy for its requests, set by an operator."""
