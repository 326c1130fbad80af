"""Profiles of panels are read from the file beside the router's."""

from __future__ import annotations

from pathlib import Path

import pytest

from collegium.errors import ArtifactRejected
from collegium.router.panels.profiles import FILE, Profiles


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[1]", "Input should be an object"),
        ('{"ranges": 5}', "ranges: Input should be a valid"),
        ('{"ranges": [', "Invalid JSON: EOF while parsing"),
    ],
)
def test_a_damaged_file_is_named_in_one_line(tmp_path: Path, content: str, words: str) -> None:
    """With what is wrong in it."""
    (tmp_path / FILE).write_text(content)
    with pytest.raises(ArtifactRejected) as refused:
        Profiles.load(tmp_path)
    told = str(refused.value)
    assert told.startswith(f"{tmp_path / FILE} holds no profiles of panels: ")
    assert words in told
    assert "\n" not in told
