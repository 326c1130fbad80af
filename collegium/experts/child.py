"""Run a program that ends when its parent does, even if the parent is killed.

`python -m collegium.experts.child PROGRAM ARGUMENT…`: the kernel sends SIGTERM to the program when
the process that started it dies (prctl PR_SET_PDEATHSIG, Linux; it survives exec).
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Ask for the signal, then become the program."""
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died before we asked
            sys.exit(1)
    os.execv(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()
