"""Limits on what keys and teams store: files, results of bulk jobs, and kept responses.

Bytes are counted from the rows each time, so deletion frees space at once.
"""

from __future__ import annotations

from collections.abc import Sequence

from collegium.errors import BudgetReached
from collegium.registry.budgets.limits import Limit
from collegium.registry.bulk.files import FileRecord
from collegium.registry.key import Caller
from collegium.registry.stored_bytes import stored_bytes
from collegium.web.serving.limits_in_force import Name
from collegium.web.serving.parts import Parts

METRIC = "stored_bytes"
TO_FREE = (
    "Delete files (DELETE /v1/files/{id}) or responses (DELETE /v1/responses/{id}); "
    "`store: false` keeps no response"
)


async def require_room(parts: Parts, caller: Caller, more: int = 1) -> None:
    """Raise BudgetReached if so many bytes more are not allowed."""
    for limit in _limits(parts, caller):
        used = await used_of(parts, limit)
        if used + more > limit.amount:
            raise _full(limit, used, more)


async def put_within_limits(parts: Parts, caller: Caller, record: FileRecord) -> None:
    """Keep a file's record; BudgetReached, and no record, where that is not allowed.

    It is counted when it is there: of two uploads at the same time each sees the other.
    """
    await parts.files.put(record)
    try:
        await require_room(parts, caller, 0)
    except BaseException:
        await parts.files.forget(record.id)
        raise


async def used_of(parts: Parts, limit: Limit) -> int:
    """How many bytes a limit's key, or all keys that its team has or had, store now."""
    by_team = limit.scope == "team"
    owners = parts.callers.members(limit.name) if by_team else frozenset({limit.name})
    return await stored_bytes(parts.database, owners)


def _limits(parts: Parts, caller: Caller) -> Sequence[Limit]:
    names: list[Name] = [("key", caller.owner)] if caller.owner else []
    if caller.team:
        names.append(("team", caller.team))
    found = parts.budgets.limits.of(tuple(names))
    return [limit for limit in found if limit.metric == METRIC]


def _full(limit: Limit, used: int, more: int) -> BudgetReached:
    """The error; of a file that is counted already, `used` holds it."""
    needed = f", and this needs {more:,} more" if more > 1 else ""
    return BudgetReached(
        f"The {limit.scope} '{limit.name}' may store {limit.amount:,} bytes ({METRIC}): "
        f"{used:,} would be stored{needed}. {TO_FREE}"
    )
