"""Files by URL (`s3://`, `gs://`, `file://` or a path), through fsspec."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from collegium.errors import BadRequest, SetupError

LOCAL = ("file", "local")
PART = ".part"


class Storage:
    """A folder or a file, whose pieces are written whole or not at all."""

    def __init__(self, url: str) -> None:
        import fsspec

        self.url = url
        try:
            self._fs: Any
            self._fs, self.path = fsspec.core.url_to_fs(url)
        except ImportError as exc:  # fsspec says which package has the protocol
            raise SetupError(f"{url}: {exc}") from exc
        except ValueError as exc:
            raise BadRequest(f"{url}: {exc}", "url") from exc
        if self.is_local:
            self.url = self.path  # absolute, as nodes have other working folders

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine's own file system."""
        return bool(set(LOCAL) & set(_names(self._fs.protocol)))

    def size(self) -> int:
        """Bytes of the file; raise BadRequest if there is none."""
        try:
            return int(self._fs.size(self.path))
        except (FileNotFoundError, TypeError) as exc:
            raise BadRequest(f"there is no file '{self.url}'", "source") from exc

    def open(self) -> IO[bytes]:
        """Open the file to read it from any position."""
        file: IO[bytes] = self._fs.open(self.path, "rb")
        return file

    def read(self, name: str) -> bytes | None:
        """A piece of the folder; None if it is not there."""
        try:
            return bytes(self._fs.cat_file(f"{self.path}/{name}"))
        except FileNotFoundError:
            return None

    def write(self, name: str, data: bytes) -> None:
        """Write a piece of the folder: under its name there is never a part of it."""
        path = f"{self.path}/{name}"
        if not self.is_local:
            self._fs.pipe_file(path, data)  # object stores have all of an object or nothing
            return
        file = Path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_name(f"{file.name}.{secrets.token_hex(4)}{PART}")
        part.write_bytes(data)
        part.replace(file)

    def names(self, folder: str) -> set[str]:
        """The names of all pieces below a folder of the folder."""
        self._fs.invalidate_cache()
        try:
            found = self._fs.find(f"{self.path}/{folder}")
        except FileNotFoundError:
            return set()
        names = (str(path)[len(self.path) + 1 :] for path in found)
        return {name for name in names if not name.endswith(PART)}


def lines_between(file: IO[bytes], start: int, end: int) -> Iterator[tuple[int, bytes]]:
    """The lines that begin from `start` on and before `end`, and where each begins."""
    file.seek(max(0, start - 1))
    if start:
        file.readline()  # to the end of the line that the byte before belongs to
    at = file.tell()
    while at < end and (line := file.readline()):
        yield at, line
        at += len(line)


def _names(protocol: str | tuple[str, ...]) -> tuple[str, ...]:
    return (protocol,) if isinstance(protocol, str) else protocol
