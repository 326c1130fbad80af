"""API keys of endpoints, read from environment variables that the operator allows."""

from __future__ import annotations

import os
from collections.abc import Sequence
from fnmatch import fnmatchcase
from types import TracebackType
from typing import Any

from collegium.errors import CollegiumError, ExpertUnavailable
from collegium.redaction import without_keys
from collegium.registry.expert import Expert

USUAL = ("*_API_KEY",)
OURS = "COLLEGIUM_"
"""Our own settings are never sent as a key: they hold callers' keys and the database's password."""


class KeyMasked:
    """Takes keys out of the errors that pass: upstreams quote the headers that they were sent.

    So neither the log, nor a record, nor a caller is told the key.
    """

    def __init__(self, key: str | None) -> None:
        self._key = key

    def __enter__(self) -> None:
        """Do nothing; a context manager class is cheaper than a generator."""

    def __exit__(
        self, kind: object, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(exc, CollegiumError):
            exc.args = tuple(self._masked(each) for each in exc.args)
            exc.detail = self._masked(exc.detail)

    def _masked(self, value: Any) -> Any:
        return without_keys(value, self._key) if isinstance(value, str) else value


def may_read(variable: str, allowed: Sequence[str]) -> bool:
    """Whether a variable may be sent to an endpoint as its key."""
    ours = variable.upper().startswith(OURS)
    return not ours and any(fnmatchcase(variable, pattern) for pattern in allowed)


def api_key(expert: Expert, allowed: Sequence[str] = USUAL) -> str | None:
    """The endpoint's key; raise ExpertUnavailable if its variable is not allowed or not set."""
    variable = expert.api_key_env
    if variable is None:
        return None
    if not may_read(variable, allowed):
        raise _without_key(expert, f"{variable} is not among api_key_variables {' '.join(allowed)}")
    key = os.environ.get(variable, "").strip()
    if not key:
        raise _without_key(expert, f"the environment variable {variable} is not set")
    if not (key.isascii() and key.isprintable()):  # an error further on might quote it
        problem = "holds characters that no header can carry"
        raise _without_key(expert, f"the environment variable {variable} {problem}")
    return key


def _without_key(expert: Expert, detail: str) -> ExpertUnavailable:
    words = "its API key is not set up"
    return ExpertUnavailable(expert.name, words, retry_after_s=60, detail=detail)
