"""An engine's output, written to a file unless the disk is full, and its end kept in memory."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import re
from pathlib import Path
from typing import IO

log = logging.getLogger(__name__)
MOST_LOG_BYTES = 50_000_000
TAIL_BYTES = 100_000
CHUNK_BYTES = 65_536
MOST_SAID = 300
# What torch, vLLM's processes and its loggers write before a line of a traceback.
PREFIX = re.compile(r"^(?:(?:\[rank\d+\]:|\(\w+ pid=\d+\)|ERROR [^\[]+ \[\S+:\d+\]) )+")
RAISED = re.compile(r"(?:\w+\.)*[A-Z]\w*(?:Error|Exception)(?:: .*)?")


class EngineLog:
    """One process's output, read from a pipe so that a full disk never blocks the process.

    When vLLM wrote to a file on a full tmpfs, it ended with status 1 during its start.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tail = b""
        self._warned = False

    async def capture(self, output: asyncio.StreamReader) -> None:
        """Read until all processes that write to the output have ended."""
        with contextlib.ExitStack() as stack:
            file = self._opened(stack)
            while chunk := await output.read(CHUNK_BYTES):
                self._tail = (self._tail + chunk)[-TAIL_BYTES:]
                if file is not None:
                    self._write(file, chunk)

    def last_error(self) -> str | None:
        """Return the process's last error, for people."""
        return last_error(self._tail.decode(errors="replace"))

    def _opened(self, stack: contextlib.ExitStack) -> IO[bytes] | None:
        """Open the file; rename it first if it has grown large."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if self._path.exists() and self._path.stat().st_size > MOST_LOG_BYTES:
                self._path.replace(self._path.with_suffix(".1.log"))
            return stack.enter_context(self._path.open("ab", buffering=0))
        except OSError as exc:
            self._warn(exc)
            return None

    def _write(self, file: IO[bytes], chunk: bytes) -> None:
        try:
            file.write(chunk)
        except OSError as exc:
            self._warn(exc)

    def _warn(self, problem: OSError) -> None:
        if not self._warned:
            log.warning("an engine goes on without its log %s: %s", self._path, problem)
        self._warned = True


def last_error(said: str) -> str | None:
    """Return the last exception in an output, with the indented lines of its message.

    Those that vLLM raises about another process ("see root cause above") are passed over.
    """
    lines = [PREFIX.sub("", line) for line in said.splitlines()]
    for at in range(len(lines) - 1, -1, -1):
        if RAISED.fullmatch(lines[at]) and "root cause" not in lines[at]:
            more = itertools.takewhile(lambda line: line.startswith("  "), lines[at + 1 :])
            return " ".join([lines[at], *(line.strip() for line in more)])[:MOST_SAID]
    return None
