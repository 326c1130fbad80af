"""A data folder goes into an archive and comes back as it was."""

from __future__ import annotations

import io
import sqlite3
import stat
import tarfile
from pathlib import Path

import pytest

from collegium.errors import SetupError
from collegium.registry.decisions.log import DecisionLog, DecisionRecord, OutcomeRecord
from collegium.registry.storage import archive
from collegium.registry.storage.archive import DATABASE
from collegium.registry.storage.database import Database


async def filled(folder: Path, make_decision: object) -> Database:
    """A data folder with a decision, whose database is open, and a file."""
    database = Database(f"sqlite:///{folder / DATABASE}")
    await database.migrate()
    log = DecisionLog(database)
    assert callable(make_decision)
    record: DecisionRecord = make_decision("dec_1")
    await log.record(record)
    await log.finish(OutcomeRecord("dec_1", "ok"))
    (folder / "files").mkdir()
    (folder / "files" / "file-1").write_bytes(b"x")
    (folder / "files" / ".draft").write_bytes(b"half")
    (folder / "logs").mkdir()
    (folder / "logs" / "engine.log").write_bytes(b"long")
    return database


async def test_what_was_saved_is_restored(tmp_path: Path, make_decision: object) -> None:
    """Though the database was open meanwhile; only the owner may read either."""
    source, target, tar = tmp_path / "a", tmp_path / "b", tmp_path / "saved.tar"
    source.mkdir()
    database = await filled(source, make_decision)
    assert archive.write(tar, source, source / DATABASE) == [DATABASE, "files"]
    await database.close()
    assert stat.S_IMODE(tar.stat().st_mode) == 0o600
    assert archive.read(tar, target) == [DATABASE, "files"]
    restored = Database(f"sqlite:///{target / DATABASE}")
    (logged,) = await DecisionLog(restored).recent()
    await restored.close()
    assert logged.decision.id == "dec_1"
    assert logged.outcome is not None
    names = sorted(str(p.relative_to(target)) for p in target.rglob("*") if p.is_file())
    assert [n for n in names if DATABASE not in n] == ["files/file-1"]
    assert stat.S_IMODE((target / DATABASE).stat().st_mode) == 0o600
    assert stat.S_IMODE((target / "files").stat().st_mode) == 0o700


async def test_nothing_is_written_over(tmp_path: Path, make_decision: object) -> None:
    """A folder that has a database keeps it."""
    source, tar = tmp_path / "a", tmp_path / "saved.tar"
    source.mkdir()
    await (await filled(source, make_decision)).close()
    archive.write(tar, source, source / DATABASE)
    with pytest.raises(SetupError, match="already"):
        archive.read(tar, source)


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "else", "files/../../evil"])
def test_a_foreign_archive_is_refused(tmp_path: Path, name: str) -> None:
    """It writes nothing, here or elsewhere."""
    tar, target = tmp_path / "foreign.tar", tmp_path / "target"
    with tarfile.open(tar, "w") as made:
        info = tarfile.TarInfo(name)
        info.size = 1
        made.addfile(info, io.BytesIO(b"x"))
    with pytest.raises(SetupError):
        archive.read(tar, target)
    assert list(target.iterdir()) == []
    assert not (tmp_path / "evil").exists()


def test_a_damaged_archive_changes_nothing(tmp_path: Path) -> None:
    """No archive at all, or one whose database is none."""
    tar, target = tmp_path / "damaged.tar", tmp_path / "target"
    for content in (b"no archive", b""):
        tar.write_bytes(content)
        with pytest.raises(SetupError, match=r"can't be restored: it is not a tar archive$"):
            archive.read(tar, target)
    (tmp_path / DATABASE).write_bytes(b"no database" * 1000)
    with tarfile.open(tar, "w") as made:
        made.add(tmp_path / DATABASE, DATABASE)
    with pytest.raises(SetupError):
        archive.read(tar, target)
    assert list(target.iterdir()) == []


def test_a_folder_that_can_not_be_written_is_told(tmp_path: Path) -> None:
    """In words."""
    with sqlite3.connect(tmp_path / DATABASE):
        pass
    with pytest.raises(SetupError, match="can't be written"):
        archive.write(tmp_path / "none" / "saved.tar", tmp_path, tmp_path / DATABASE)
