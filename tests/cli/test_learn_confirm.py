"""`collegium learn confirm` where there is nothing to confirm."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from click.testing import CliRunner

from collegium.cli import service_client
from collegium.cli.learn_confirm import confirm


class Service:
    """A service that has nothing to confirm."""

    def __init__(self, marks: dict[str, int]) -> None:
        self.marks = marks

    async def call(self, method: str, path: str) -> Any:
        return {"object": "list", "data": [], "marks": self.marks}


@pytest.mark.parametrize(
    ("marks", "why"),
    [
        ({"checker": 40}, "programs marked all answers"),
        ({}, "the run has no marks yet"),
        ({"judge": 3, "confirmed": 3}, "no answer's mark is uncertain and unconfirmed"),
    ],
)
def test_what_needs_no_confirmation_is_said(
    monkeypatch: pytest.MonkeyPatch, marks: dict[str, int], why: str
) -> None:
    """Nobody is told to fit again with nothing new."""

    @asynccontextmanager
    async def served() -> AsyncGenerator[Service]:
        yield Service(marks)

    monkeypatch.setattr(service_client, "required_service", served)
    done = CliRunner().invoke(confirm, ["lrn_1"])
    assert (done.exit_code, done.output) == (0, f"There is nothing to confirm: {why}.\n")
