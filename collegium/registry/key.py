"""Keys, teams and roles: who may call, with which rights, and which experts may answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from collegium.registry.clock import utc_now

Role = Literal["operator", "team-lead", "caller", "read-only"]
KeyState = Literal["active", "expired", "revoked"]
Names = frozenset[str]
"""Names of experts or keys of applications."""


@dataclass(frozen=True)
class Team:
    """A group of callers; `allowed_experts` and `allowed_applications` of None allow all."""

    name: str
    description: str = ""
    allowed_experts: Names | None = None
    allowed_applications: Names | None = None
    created_at: datetime = field(default_factory=utc_now)


@dataclass(frozen=True)
class Key:
    """One key as it is stored: with the SHA-256 of its secret, never the secret.

    `name` is the owner of all rows that the key makes. It survives rotation, which changes the hash
    and keeps the one before as `former_hash` until `former_until`.
    """

    id: str
    name: str
    hash: bytes
    prefix: str
    last_four: str
    role: Role = "caller"
    team: str | None = None
    description: str = ""
    allowed_experts: Names | None = None
    allowed_applications: Names | None = None
    created_at: datetime = field(default_factory=utc_now)
    created_by: str = ""
    rotated_at: datetime | None = None
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    former_hash: bytes | None = None
    former_until: datetime | None = None

    def state(self, now: datetime) -> KeyState:
        """Whether the key is good; a revoked one stays revoked when its time is over as well."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "active"


@dataclass(frozen=True)
class Caller:
    """The caller of a request, stored in `request.state.caller`.

    `name` is the key's name; "api_key" for the setting of that name; the client's address where no
    keys are set. `key_id` is None for keys of the settings and where no keys are set. The experts
    and applications are those that both the key and its team allow; None allows all.
    """

    name: str
    team: str | None = None
    role: Role = "caller"
    key_id: str | None = None
    allowed_experts: Names | None = None
    allowed_applications: Names | None = None

    def permits(self, expert: str) -> bool:
        """Whether an expert may be asked."""
        return self.allowed_experts is None or expert in self.allowed_experts

    @property
    def owner(self) -> str:
        """The owner of the rows that the request creates; "" for `api_key` and if no keys are
        configured.
        """
        return "" if self.role == "operator" and self.key_id is None else self.name


NOBODY = Caller("", role="operator")
"""The caller of requests that the service makes on its own behalf."""


def both(one: Names | None, other: Names | None) -> Names | None:
    """Return the intersection of two lists of names; None allows all."""
    if one is None or other is None:
        return other if one is None else one
    return one & other
