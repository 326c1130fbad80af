"""Run a program that ends when its parent does, even if the parent is killed.

`python -m collegium.experts.child PROGRAM ARGUMENT…`: the kernel sends SIGTERM to the program when
the process that started it dies (prctl PR_SET_PDEATHSIG, Linux; it survives exec). `--parent PID`
before the program says who that is, for a parent that dies while we start.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Ask for the signal, then become the program."""
    program = sys.argv[1:]
    parent = os.getppid()
    if program[0] == "--parent":
        parent, program = int(program[1]), program[2:]
    end_with(parent)
    os.execv(program[0], program)


def end_with(parent: int) -> None:
    """Have the kernel end this process when `parent`, which started it, dies."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died before we asked
        sys.exit(1)


if __name__ == "__main__":
    main()
