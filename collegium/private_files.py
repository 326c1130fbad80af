"""Create folders and files that only their owner can read, whatever the umask."""

from __future__ import annotations

import logging
import os
from pathlib import Path

log = logging.getLogger(__name__)
FOLDER, FILE = 0o700, 0o600


def private_folder(path: Path) -> Path:
    """Make a folder and those above it that are missing."""
    path.mkdir(mode=FOLDER, parents=True, exist_ok=True)
    return path


def private_opener(path: str, flags: int) -> int:
    """For `open(…, opener=private_opener)`."""
    return os.open(path, flags, FILE)


def close_to_others(folder: Path) -> None:
    """Have all that this process makes from now on be private, and a folder that is there."""
    os.umask(0o077)
    private_folder(folder)
    if folder.stat().st_mode & 0o077:
        try:
            folder.chmod(FOLDER)
        except OSError as exc:
            log.warning("others can look into the data folder: %s", exc.strerror)
