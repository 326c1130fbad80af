"""Who runs what with several workers (`tests/conftest.py`)."""

from __future__ import annotations

import ast

import pytest

from tests.conftest import TOLD, WITHOUT_ENGINE
from tests.repository import ROOT

WITH_ENGINE = {"chat", "crash_dummy", "crashable_chat", "crashable_service", "pool", "service"}
"""Fixtures that start the embedded pool."""


@pytest.mark.parametrize("name", [*TOLD, *WITHOUT_ENGINE])
def test_a_file_that_is_said_to_need_no_engine_asks_for_none(name: str) -> None:
    """Else two workers would start pools at once, which is more than 24 GiB hold."""
    tree = ast.parse((ROOT / name).read_text())
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    tests = [f for f in functions if f.name.startswith("test_")]
    assert {a.arg for f in tests for a in f.args.args}.isdisjoint(WITH_ENGINE)
    source = ast.unparse(tree)
    starts = source.count("running_service(") > 0
    assert not starts or "COLLEGIUM_EMBEDDED" in source
