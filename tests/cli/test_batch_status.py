"""`collegium batch status` on what the service tells of a job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from collegium.cli import batch_command

JOB: dict[str, Any] = {
    "id": "batch_0",
    "status": "in_progress",
    "created_at": 1,
    "expires_at": 2,
    "output_file_id": None,
    "error_file_id": None,
    "errors": None,
    "request_counts": {"total": 10, "completed": 4, "failed": 0},
    "money": {
        "spent_usd": 0.25,
        "reserved_usd": 0.125,
        "forecast_rest_usd": 0.375,
        "budget_usd": 1.0,
    },
}


def status(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> str:
    """What the command prints of a job."""

    async def told(batch: str, *, wait: bool) -> Any:
        return JOB | changes

    monkeypatch.setattr(batch_command, "_status", told)
    return CliRunner().invoke(batch_command.command, ["status", "batch_0"]).output


def test_the_money_of_a_job_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is spent, reserved, still to come, and the budget."""
    assert (
        "$0.250000 spent, $0.125000 reserved, $0.375000 forecast for the rest, budget $1.000000"
        in status(monkeypatch)
    )


def test_a_job_without_a_budget_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing reserved and nothing left are left out."""
    money = {"spent_usd": 0.5, "reserved_usd": 0, "forecast_rest_usd": 0, "budget_usd": None}
    assert "$0.500000 spent, no budget" in status(monkeypatch, money=money)


def test_a_job_that_has_not_begun_has_no_money(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line is left out."""
    assert "money" not in status(monkeypatch, money=None)


def test_a_job_says_what_its_lines_are_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Chat completions, unless another endpoint is named."""
    asked = []

    async def submit(file: Path, body: Any, *, wait: bool) -> Any:
        asked.append(body["endpoint"])
        return JOB

    monkeypatch.setattr(batch_command, "_submit", submit)
    (file := tmp_path / "lines.jsonl").touch()
    for options in ([], ["--endpoint", "/v1/responses"]):
        done = CliRunner().invoke(batch_command.command, ["submit", str(file), *options])
        assert done.exit_code == 0, done.output
    assert asked == ["/v1/chat/completions", "/v1/responses"]


COUNTS = {"total": 2, "completed": 1, "failed": 1}
EMPTY = {"total": 0, "completed": 0, "failed": 0}
NO_LINES = {"data": [{"message": "The file has no \x1b[2Jlines"}]}


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"status": "completed"}, 0, "4 of 10 answered"),
        ({"status": "completed", "request_counts": COUNTS}, 0, "1 of 2 answered, 1 failed"),
        ({"status": "failed"}, 1, "4 of 10 answered"),
        (
            {"status": "failed", "request_counts": EMPTY, "errors": NO_LINES},
            1,
            "Error: The file has no \\x1b[2Jlines",
        ),
        (
            {"request_counts": COUNTS | {"completed": 0}, "error_file_id": "file-1"},
            1,
            "`collegium batch results batch_0 --errors`",
        ),
    ],
)
@pytest.mark.parametrize("options", [["--wait"], ["--wait", "--json"], []])
def test_a_job_without_answers_fails_the_command(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    changes: dict[str, Any],
    code: int,
    words: str,
    options: list[str],
) -> None:
    """Scripts see it, and people the reason; without --wait nothing has been decided."""

    async def submit(file: Path, body: Any, *, wait: bool) -> Any:
        return JOB | changes

    async def told(batch: str, *, wait: bool) -> Any:
        return JOB | changes

    monkeypatch.setattr(batch_command, "_submit", submit)
    monkeypatch.setattr(batch_command, "_status", told)
    (file := tmp_path / "lines.jsonl").touch()
    done = CliRunner().invoke(batch_command.command, ["submit", str(file), *options])
    assert done.exit_code == (code if options else 0)
    assert words in done.output or options != ["--wait"]
    looked = CliRunner().invoke(batch_command.command, ["status", "batch_0", *options])
    assert looked.exit_code == done.exit_code


ANSWER = '{"custom_id": "a", "text": "\x9b2J \u202e"}\n'
ESCAPED = '{"custom_id": "a", "text": "\\u009b2J \\u202e"}\n'


@pytest.mark.parametrize(("terminal", "shown"), [(True, ESCAPED), (False, ANSWER)])
def test_results_do_not_steer_a_terminal(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, shown: str
) -> None:
    """It is still JSON; a file or a pipe gets the bytes as they are."""

    async def results(batch: str, kind: str) -> bytes:
        return ANSWER.encode()

    monkeypatch.setattr(batch_command, "_results", results)
    monkeypatch.setattr(batch_command, "_is_terminal", lambda: terminal)
    done = CliRunner().invoke(batch_command.command, ["results", "batch_0"])
    assert done.output == shown
