"""A person at a terminal, who reads what a command shows and types."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Callable

from tests.running_service import RunningService

QUESTION = "q(uit): "
"""How the question of `collegium learn confirm` ends."""


def typed(service: RunningService, *arguments: str, answers: Callable[[str], str]) -> str:
    """Run `collegium …` in a terminal; `answers` gets what was shown since the last answer.

    Returns everything that was shown.
    """
    ours, its = pty.openpty()
    command = [sys.executable, "-m", "collegium", *arguments]
    process = subprocess.Popen(
        command, env=service.environment, stdin=its, stdout=its, stderr=its, close_fds=True
    )
    os.close(its)
    whole = since = ""
    try:
        while shown := _read(ours):
            whole, since = whole + shown, since + shown
            if since.endswith(QUESTION):
                os.write(ours, f"{answers(since)}\n".encode())
                since = ""
        assert process.wait(timeout=60) == 0, whole
    finally:
        os.close(ours)
        process.kill()
        process.wait()
    return whole


def _read(terminal: int) -> str:
    """The next that is shown, "" at the end, where Linux raises an error."""
    try:
        return os.read(terminal, 65536).decode(errors="replace").replace("\r\n", "\n")
    except OSError:
        return ""
