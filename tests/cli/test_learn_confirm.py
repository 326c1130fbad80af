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


def row(number: int) -> dict[str, Any]:
    message = {"role": "user", "content": "Is it?"}
    return {
        "number": number,
        "expert": "sql",
        "request": {"messages": [message]},
        "answer": {"content": "Yes."},
        "compared_with": None,
    }


class Asking(Service):
    """A service with two answers to confirm."""

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        return {"data": [row(1), row(2)], "marks": {"judge": 2}} if method == "GET" else {}


@pytest.mark.parametrize(
    ("said", "kept"),
    [("y\nq\n", "1 mark is kept."), ("y\nn\n", "2 marks are kept."), ("q\n", "0 marks are kept.")],
)
def test_how_many_marks_are_kept_is_said(
    monkeypatch: pytest.MonkeyPatch, said: str, kept: str
) -> None:
    """One mark is one."""

    @asynccontextmanager
    async def served() -> AsyncGenerator[Service]:
        yield Asking({})

    monkeypatch.setattr(service_client, "required_service", served)
    assert f"\n{kept} Fit again" in CliRunner().invoke(confirm, ["lrn_1"], input=said).output
