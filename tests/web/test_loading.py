"""Loading the router beside the event loop: what would hold every answer up is left out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import asyncio, gc, sys
from pathlib import Path

from collegium.settings import load_settings
from collegium.web.serving.build import build
from collegium.web.serving.service import Service

full = []

def note(phase, info):
    if phase == "start" and info["generation"] == 2:
        full.append(info)

async def main():
    settings = load_settings(embedded=False, encoder="static", data_dir=Path(sys.argv[1]))
    service = Service(build(settings))
    gc.callbacks.append(note)
    await service.open()
    while gc.get_freeze_count() == 0 or service.waits_for() is not None:
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)  # what comes after the router
    print(len(full))
    await service.close()

asyncio.run(main())
"""


@pytest.mark.slow
def test_nothing_is_collected_in_full_while_a_service_starts(tmp_path: Path) -> None:
    """A full collection of what is loaded holds up all answers for 0.1 to 0.2 s of a core."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "0\n"
