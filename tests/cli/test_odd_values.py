"""Odd values on the command line are one line, not a traceback."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from collegium import cli


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["expert", "add", "a", "--litellm", "x", "--context", "9" * 30], "not in the range"),
        (["expert", "add", "a", "--like", "b", "--with", '{"temperature": NaN}'], "NaN"),
        (["expert", "add", "a", "--like", "b", "--with", "[" * 5000], "--with"),
        (["expert", "add", "a", "--litellm", "x", "--input-price", "nan"], "not a finite number"),
        (["expert", "add", "a", "--litellm", "x", "--price", "cached_input=nan"], "dollars from 0"),
        (["expert", "update", "a", "--output-price", "inf"], "not a finite number"),
        (["budget", "set", "key:ada", "--usd", "nan"], "'nan' is not a finite number"),
        (["budget", "set", "key:ada", "--usd", "-1"], "not in the range"),
        (["backup", "/nowhere/saved.tar"], "can't be written"),
        (["restore", "/nowhere/saved.tar"], "can't be restored"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(
    arguments: list[str],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """And the command fails."""
    monkeypatch.setenv("COLLEGIUM_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["collegium", *arguments])
    (tmp_path / "collegium.sqlite3").touch()
    if "restore" in arguments:
        (tmp_path / "collegium.sqlite3").unlink()
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code in (1, 2)
    assert words in capsys.readouterr().err


def test_a_file_that_can_not_be_written_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whichever command wanted to."""

    def fails(**_: object) -> None:
        Path("/nowhere/results.jsonl").write_text("x")

    monkeypatch.setattr(cli.cli, "main", fails)
    with pytest.raises(SystemExit):
        cli.main()
    assert "/nowhere/results.jsonl: No such file or directory" in capsys.readouterr().err
