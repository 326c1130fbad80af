"""What a process that serves does for itself."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

LARGE_AND_SMALL = """
import sys
from pathlib import Path
from collegium.cli.serving import give_back_large_blocks

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

if sys.argv[1] == "given back":
    give_back_large_blocks()
before, small = resident(), []
for _ in range(3):
    large = []
    for _ in range(30):
        large.append(bytes(4 * 2**20))
        small.append(bytearray(5000))
    touched = [memoryview(bytearray(block)) for block in large]
    del large, touched
print(resident() - before)
"""


def kept_mib(what: str) -> float:
    """What a process keeps of blocks that were freed beside small ones that were not."""
    command = [sys.executable, "-c", LARGE_AND_SMALL, what]
    environment = {n: v for n, v in os.environ.items() if not n.startswith("MALLOC_")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="NOT TESTED: needs glibc's mallopt")
def test_large_blocks_are_given_back() -> None:
    """Else the small ones that were taken meanwhile keep them."""
    assert kept_mib("given back") < 20
    assert kept_mib("as usual") > 40
