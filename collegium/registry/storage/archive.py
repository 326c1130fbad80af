"""A data folder as one archive: written while the service runs, verified before it is restored."""

from __future__ import annotations

import sqlite3
import tarfile
import tempfile
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from collegium.errors import SetupError
from collegium.private_files import private_folder, private_opener

DATABASE = "collegium.sqlite3"
KEPT = ("files", "batches", "online", "profiles")
"""Folders beside the database; logs and the engines' own files are left out.

The first three are those of earlier versions, which the next start moves into the database.
"""


def write(archive: Path, data_dir: Path, database: Path | None) -> list[str]:
    """Write a new archive, whole or not at all; return what is in it.

    SQLite copies the database page by page, beside its writers, as it was in one moment.
    """
    draft = archive.with_name(f".{archive.name}.draft")
    written: list[str] = []
    try:
        with (
            tempfile.TemporaryDirectory(dir=private_folder(data_dir)) as folder,
            open(draft, "xb", opener=private_opener) as file,
            tarfile.open(fileobj=file, mode="w") as tar,
        ):
            if database is not None:
                copy = _copied(database, Path(folder) / DATABASE)
                tar.add(copy, DATABASE)
                written.append(DATABASE)
            for name in KEPT:
                if (data_dir / name).is_dir():
                    tar.add(data_dir / name, name, filter=_still_there)
                    written.append(name)
        draft.rename(archive)
    except (OSError, sqlite3.Error, tarfile.TarError) as exc:
        draft.unlink(missing_ok=True)
        raise SetupError(f"the archive {archive} can't be written: {exc}") from exc
    return written


def read(archive: Path, data_dir: Path) -> list[str]:
    """Restore an archive into a data folder that has no database; return a description of it."""
    target = private_folder(data_dir)
    taken = [name for name in (DATABASE, *KEPT) if (target / name).exists()]
    if taken:
        raise SetupError(
            f"{data_dir} has {', '.join(taken)} already: name an empty folder as data_dir, or move "
            "that away first"
        )
    try:
        with tempfile.TemporaryDirectory(dir=target) as folder:
            with _opened(archive) as tar:
                _refuse_foreign(tar.getnames())
                tar.extractall(folder, filter="data")  # no links out of it, no devices
            found = [name for name in (DATABASE, *KEPT) if (Path(folder) / name).exists()]
            if DATABASE in found:
                _check(Path(folder) / DATABASE)
            for name in found:
                (Path(folder) / name).rename(target / name)
    except (OSError, sqlite3.Error, tarfile.TarError) as exc:
        raise SetupError(f"the archive {archive} can't be restored: {exc}") from exc
    _make_private(target / name for name in found)
    return found


def _opened(archive: Path) -> tarfile.TarFile:
    """The archive, also a compressed one; tarfile's own error is a line for each compression."""
    try:
        return tarfile.open(archive)
    except tarfile.ReadError as exc:
        raise tarfile.ReadError("it is not a tar archive") from exc


def _copied(database: Path, copy: Path) -> Path:
    if not database.is_file():
        raise SetupError(f"there is no database {database}")
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    return copy


def _check(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        (found,) = connection.execute("PRAGMA integrity_check").fetchone()
    if found != "ok":
        raise SetupError(f"the archive's database is damaged: {found}")


def _refuse_foreign(names: Iterable[str]) -> None:
    for name in names:
        if name.split("/")[0] not in (DATABASE, *KEPT):
            raise SetupError(
                f"the archive was not made by `collegium backup`: it contains '{name}'"
            )


def _still_there(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Leave out drafts and locks, which belong to the running process."""
    return None if Path(member.name).name.startswith(".") else member


def _make_private(paths: Iterable[Path]) -> None:
    for path in paths:
        for each in (path, *path.rglob("*")):
            each.chmod(0o700 if each.is_dir() else 0o600)
