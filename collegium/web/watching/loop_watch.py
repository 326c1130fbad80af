"""Detect that something blocks the event loop, and log where.

The loop records the time four times a second. A thread reads it, and if it is old, inspects what
the thread of the loop is doing.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from traceback import extract_stack
from types import FrameType

from collegium.extensions import distribution_of, extensions, is_ours

log = logging.getLogger(__name__)
EVERY_S = 0.25
PATIENCE_S = 1.0
"""Answers are late by so much before the log says so."""
SHOWN = 4
"""The innermost places that are told."""


class LoopWatch:
    """Watches the loop that it is started on, from a thread."""

    def __init__(self, patience_s: float = PATIENCE_S) -> None:
        self._patience_s = patience_s
        self._beat = time.monotonic()
        self._timer: asyncio.TimerHandle | None = None
        self._ended = threading.Event()
        self._loop_thread = 0

    def start(self) -> None:
        """Begin to watch the running loop."""
        self._loop_thread = threading.get_ident()
        self._note(asyncio.get_running_loop())
        threading.Thread(target=self._watch, name="event loop's watch", daemon=True).start()

    def close(self) -> None:
        """Watch no more."""
        self._ended.set()
        if self._timer is not None:
            self._timer.cancel()

    def _note(self, loop: asyncio.AbstractEventLoop) -> None:
        self._beat = time.monotonic()
        self._timer = loop.call_later(EVERY_S, self._note, loop)

    def _watch(self) -> None:
        blocked_at, where = 0.0, ""
        while not self._ended.wait(EVERY_S):
            beat = self._beat
            if blocked_at and beat != blocked_at:
                log.warning("the event loop was blocked for %.1f s in %s", beat - blocked_at, where)
                blocked_at = 0.0
            late_s = time.monotonic() - beat
            if not blocked_at and late_s > self._patience_s:
                blocked_at, where = beat, self._place()
                log.warning("the event loop is blocked, for %.1f s so far, in %s", late_s, where)

    def _place(self) -> str:
        """What the loop's thread does now: whose code it is, and where."""
        frame = sys._current_frames().get(self._loop_thread)
        if frame is None:
            return "a thread that has ended"
        calls = [f"{s.name} ({Path(s.filename).name}:{s.lineno})" for s in extract_stack(frame)]
        told = " > ".join(calls[-SHOWN:])
        plugin = plugin_of(frame)
        return told if plugin is None else f"{plugin}: {told}"


def plugin_of(frame: FrameType) -> str | None:
    """The innermost extension of another distribution whose code is running; None if none is."""
    packages = {
        entry.module.partition(".")[0]: f"the extension {entry.name} of {distribution_of(entry)}"
        for _, _, entry in extensions()
        if not is_ours(entry)
    }
    names = (str(each.f_globals.get("__name__", "")).partition(".")[0] for each in _outwards(frame))
    return next((packages[name] for name in names if name in packages), None)


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back
