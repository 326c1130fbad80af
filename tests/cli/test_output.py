"""What commands print for machines."""

from __future__ import annotations

import json

import pytest

from collegium.cli.output import print_json


def test_what_is_not_a_number_is_null(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"known": 0.5, "unknown": float("nan"), "rows": [float("inf"), "né"]})
    text = capsys.readouterr().out
    assert json.loads(text) == {"known": 0.5, "unknown": None, "rows": [None, "né"]}
    assert "NaN" not in text
    assert "Infinity" not in text
