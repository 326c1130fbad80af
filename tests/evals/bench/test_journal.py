"""The journal of results: durable, whole lines only, across kills and full disks."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from collegium.evals.bench.journal import Journal

WRITE_FOR_EVER = """
import asyncio, sys
from pathlib import Path
from collegium.evals.bench.journal import Journal

async def main() -> None:
    journal = Journal(Path(sys.argv[1]))
    known = {record["n"] for record in journal.open()}
    async def one(n: int) -> None:
        await journal.append({"n": n, "text": "x" * (n % 997)})
        print(n, flush=True)
    print("ready", flush=True)
    for first in range(0, 10**6, 16):
        await asyncio.gather(*(one(n) for n in range(first, first + 16) if n not in known))

asyncio.run(main())
"""


def read(path: Path) -> list[int]:
    journal = Journal(path)
    numbers = [record["n"] for record in journal.open()]
    asyncio.run(journal.close())
    return numbers


def test_what_was_acknowledged_survives_kill_9_once(tmp_path: Path) -> None:
    """Killed again and again in the middle of writing: nothing lost, nothing twice."""
    path, told = tmp_path / "out.jsonl", set()
    rng = random.Random(5)
    for _ in range(6):
        command = [sys.executable, "-c", WRITE_FOR_EVER, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            for _ in range(rng.randint(1, 300)):
                told.add(int(process.stdout.readline()))
            process.kill()
            rest = process.stdout.read().splitlines(keepends=True)
        told |= {int(line) for line in rest if line.endswith("\n")}
    found = read(path)
    assert told <= set(found)
    assert len(found) == len(set(found))


@pytest.mark.parametrize("tail", [b'{"n": 3', b'{"n": 3}', b"\x00\x00\n", b"[]\n"])
def test_a_torn_end_is_cut_off(tmp_path: Path, tail: bytes) -> None:
    """Also one that lacks nothing but its line end: its writer was never told of success."""
    path = tmp_path / "out.jsonl"
    path.write_bytes(b'{"n": 1}\n{"n": 2}\n' + tail)
    assert read(path) == [1, 2]
    assert path.read_bytes() == b'{"n": 1}\n{"n": 2}\n'


async def test_writers_share_one_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred answers that end together cost the disk a few syncs, not a hundred."""
    syncs = 0
    real = os.fsync

    def counted(descriptor: int) -> None:
        nonlocal syncs
        syncs += 1
        real(descriptor)

    journal = Journal(tmp_path / "out.jsonl")
    assert list(journal.open()) == []
    monkeypatch.setattr(os, "fsync", counted)
    await asyncio.gather(*(journal.append({"n": n}) for n in range(100)))
    await journal.close()
    assert syncs <= 3
    assert len(journal.path.read_text().splitlines()) == 100


async def test_a_write_that_fails_leaves_no_half_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fills up in a record is told to the writer; the next record is whole."""
    journal = Journal(tmp_path / "out.jsonl")
    assert list(journal.open()) == []
    await journal.append({"n": 1})
    real = os.write

    def full(descriptor: int, data: bytes) -> int:
        if len(data) > 4:
            return real(descriptor, bytes(data)[:4])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space"):
            await journal.append({"n": 22})
    await journal.append({"n": 3})
    await journal.close()
    assert (tmp_path / "out.jsonl").read_text() == '{"n":1}\n{"n":3}\n'


async def test_any_text_that_json_can_carry_is_kept(tmp_path: Path) -> None:
    """Also half a surrogate pair, which is no UTF-8; other text stays readable."""
    texts = ["é 漢字 🎓", "\ud800 alone", "line\nend\u2028"]
    journal = Journal(tmp_path / "out.jsonl")
    assert list(journal.open()) == []
    for text in texts:
        await journal.append({"text": text})
    await journal.close()
    again = Journal(journal.path)
    assert [record["text"] for record in again.open()] == texts
    await again.close()
    assert "漢字" in journal.path.read_text(encoding="utf-8")
