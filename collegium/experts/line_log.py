"""A file of JSON lines, appended by one process at a time and synced immediately."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Self

from filelock import FileLock, Timeout

from collegium.errors import SetupError
from collegium.private_files import private_folder, private_opener


class LineLog:
    """The file, locked and open while it is entered; only its owner may read it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = FileLock(path.with_name(f".{path.name}.lock"), timeout=0)

    def read(self, line: bytes, where: str) -> None:
        """Take note of a line that is there already; subclasses say how."""

    def __enter__(self) -> Self:
        private_folder(self.path.parent)
        self._file: IO[bytes] = open(self.path, "a+b", opener=private_opener)
        try:
            self._lock.acquire()
            for number, line in enumerate(self._lines(), start=1):
                self.read(line, f"{self.path}, line {number}")
        except Timeout as exc:
            self._file.close()
            raise SetupError(f"another run is writing to '{self.path}'") from exc
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self._file.close()
        self._lock.release()

    def append(self, record: Mapping[str, Any]) -> None:
        """Write one line."""
        self._file.write(json.dumps(record).encode() + b"\n")
        self._file.flush()

    def _lines(self) -> list[bytes]:
        """Return all complete lines; a torn last line is cut off."""
        self._file.seek(0)
        found = self._file.readlines()
        if found and not found[-1].endswith(b"\n"):
            self._file.truncate(self._file.tell() - len(found.pop()))
        return found
