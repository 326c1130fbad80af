"""The bytes of files, in one folder under names of our own making."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from collegium.errors import SetupError, UnknownFile
from collegium.private_files import private_folder, private_opener

_ID = re.compile(r"file-[0-9a-f]{24}")
CHUNK = 1 << 20


class FileStore:
    """Whole files only: each is written beside its place, made durable, then renamed into it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, file_id: str) -> Path:
        """Where a file's bytes lie. An id that we did not make is no path: UnknownFile."""
        if not _ID.fullmatch(file_id):
            raise UnknownFile(f"no file has the id '{file_id}'", "file_id")
        return self._folder / file_id

    async def save(self, chunks: AsyncIterable[bytes]) -> tuple[str, int]:
        """Write a new file; return its id and its length in bytes."""
        file_id = new_file_id()
        draft = self._folder / f".{file_id}"
        size = 0
        try:
            private_folder(self._folder)
            with open(draft, "xb", opener=private_opener) as file:
                async for chunk in chunks:
                    size += await asyncio.to_thread(file.write, chunk)
                await asyncio.to_thread(_sync, file)
            draft.rename(self.path(file_id))
        except OSError as exc:
            reason = exc.strerror or type(exc).__name__
            raise SetupError(f"files can't be stored in data_dir: {reason}") from exc
        finally:
            with suppress(OSError):  # renamed, or never made
                draft.unlink()
        return file_id, size

    def adopt(self, source: Path, file_id: str) -> int:
        """Take in a finished file of ours under an id; once more does no harm. Return its bytes."""
        private_folder(self._folder)
        with suppress(FileExistsError):
            os.link(source, self.path(file_id))
        return self.path(file_id).stat().st_size

    def lend(self, file_id: str, target: Path) -> None:
        """Link a file's bytes to another place, where they stay when the file is deleted."""
        if not self.has(file_id):
            raise _not_here(file_id)
        private_folder(target.parent)
        os.link(self.path(file_id), target)

    async def chunks(self, file_id: str) -> AsyncIterator[bytes]:
        """Yield a file's bytes."""
        if not self.has(file_id):
            raise _not_here(file_id)
        with self.path(file_id).open("rb") as file:
            while chunk := await asyncio.to_thread(file.read, CHUNK):
                yield chunk

    def has(self, file_id: str) -> bool:
        """Whether the bytes are on this machine."""
        return self.path(file_id).is_file()

    def remove(self, file_id: str) -> None:
        """Delete the bytes."""
        self.path(file_id).unlink(missing_ok=True)


def new_file_id() -> str:
    """A fresh id."""
    return f"file-{secrets.token_hex(12)}"


def _not_here(file_id: str) -> UnknownFile:
    return UnknownFile(f"the content of file '{file_id}' is not on this machine", "file_id")


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
