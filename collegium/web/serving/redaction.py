"""The operator's redaction function."""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from collegium.errors import SettingsError

log = logging.getLogger(__name__)
PATIENCE_S = 5.0
"""Seconds for one text, or for all texts of one exchange; then they are dropped."""
THREADS = 4
OURS = frozenset({"role", "type", "finish_reason"})
"""Fields whose values are words of the protocol, not of people."""


class Redactor:
    """Calls the function outside the event loop, because it may take long."""

    def __init__(self, redact: Callable[[str], str]) -> None:
        self._redact = redact
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="redact")

    @classmethod
    def of(cls, entry_point: str) -> Redactor:
        """Load `module:function`; SettingsError describes what is wrong with it."""
        module, _, name = entry_point.partition(":")
        try:
            found = getattr(importlib.import_module(module), name)
        except Exception as exc:  # a foreign module raises what it likes
            raise SettingsError(f"redact: can't load '{entry_point}': {exc}") from exc
        if not callable(found):
            raise SettingsError(f"redact: '{entry_point}' is not a function")
        return cls(found)

    async def text(self, text: str) -> str | None:
        """Return the redacted text; None if the function failed."""
        found = await self.value(text)
        return found if isinstance(found, str) else None

    async def value(self, value: Any) -> Any:
        """Return a JSON value with its texts redacted; None if the function failed."""
        loop = asyncio.get_running_loop()
        work = loop.run_in_executor(self._threads, self._redacted, value)
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await work
        except (ValueError, RecursionError, TimeoutError) as exc:
            log.error("a text is not kept: `redact` failed: %s", exc or "no result in time")
            return None

    def _redacted(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._one(value)
        if isinstance(value, dict):
            return {k: v if k in OURS else self._redacted(v) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [self._redacted(item) for item in value]
        return value

    def _one(self, text: str) -> str:
        try:
            found = self._redact(text)
        except Exception as exc:  # noqa: BLE001  it is not ours
            raise ValueError(type(exc).__name__) from None  # its words may hold the text
        if not isinstance(found, str):
            raise ValueError(f"it returned {type(found).__name__}, not str")
        return found
