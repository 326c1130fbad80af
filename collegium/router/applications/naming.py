"""Keys and texts of new applications."""

from __future__ import annotations

import re
from datetime import datetime
from hashlib import blake2b

from collegium.registry.application import TEXT_LENGTH, Application
from collegium.router.applications.signals import Signals

LONGEST_TAG = 128
MADE = re.compile(r"app-[0-9a-f]{8}")
"""Keys of applications that are recognised by their prompts."""


def qualified(name: str, tenant: str) -> str:
    """The key of a name within a tenant; the operator's own requests have none."""
    return f"{tenant}:{name}" if tenant else name


def application_of(
    key: str, signals: Signals, now: datetime, *, tagged: bool = False
) -> Application:
    return Application(
        key=key,
        tenant=signals.tenant,
        tagged=tagged,
        text=text_of(signals),
        first_seen=now,
        last_seen=now,
    )


def is_tag(key: str) -> bool:
    """Whether a key may be that of a tag: it is not one of those that are made of fingerprints."""
    name = key.rpartition(":")[2]
    return 0 < len(key) <= 2 * LONGEST_TAG and key.isprintable() and not MADE.fullmatch(name)


def tagged(key: str) -> Application:
    """An application of which no request is known yet."""
    tenant, colon, _ = key.partition(":")
    return Application(key=key, tenant=tenant if colon else "", tagged=True, variants=0)


def text_of(signals: Signals) -> str:
    """Return the text of an application, for display and for comparisons of meaning."""
    tools = f"\nTools: {', '.join(signals.tools)}" if signals.tools else ""
    return (signals.system[:TEXT_LENGTH] + tools)[: 2 * TEXT_LENGTH].strip()


def is_rare(application: Application) -> bool:
    """Whether an application was seen only once and has no settings."""
    decided = application.name or application.policy or application.pinned
    return application.seen <= 1 and not decided and application.merged_into is None


def key_of(signals: Signals, salt: str = "") -> str:
    """Return the same key on all replicas."""
    shown = "\0".join((salt, signals.tenant, signals.system, *signals.tools, signals.schema))
    return f"app-{blake2b(shown.encode('utf-8', 'replace'), digest_size=4).hexdigest()}"
