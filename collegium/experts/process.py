"""One engine's process: start it, check its health, end it and its children."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx

LAST_WORDS_S = 1.0


async def launch(command: Sequence[str], env: Mapping[str, str]) -> asyncio.subprocess.Process:
    """Start a program whose output we read; raise OSError if it doesn't exist."""
    return await asyncio.create_subprocess_exec(
        *command,
        env=env,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,  # its own process group: Ctrl-C is ours to pass on
    )


async def healthy(http: httpx.AsyncClient) -> bool:
    """Whether it says that it is well."""
    try:
        return (await http.get("/health")).status_code == 200
    except httpx.HTTPError:
        return False


async def end(
    process: asyncio.subprocess.Process, capture: asyncio.Task[None], grace_s: float
) -> None:
    """SIGTERM to the whole group, then SIGKILL for what is left; its log ends with it."""
    _signal_group(process.pid, signal.SIGTERM)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), grace_s)
    _signal_group(process.pid, signal.SIGKILL)
    await process.wait()
    await asyncio.wait({capture}, timeout=LAST_WORDS_S)
    capture.cancel()


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def group_of(leader: int, proc: Path = Path("/proc")) -> set[int]:
    """The processes of a group that run now: what a program started, too (Linux)."""
    found = set()
    for folder in proc.glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        if int(fields[2]) == leader:
            found.add(int(folder.name))
    return found
