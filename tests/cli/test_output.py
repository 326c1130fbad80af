"""What commands print for machines."""

from __future__ import annotations

import json
import shlex

import click
import pytest
from click.testing import CliRunner

from collegium.cli.output import command_line, print_json, print_object, print_table, warn
from collegium.redaction import lines


def test_what_is_not_a_number_is_null(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"known": 0.5, "unknown": float("nan"), "rows": [float("inf"), "né"]})
    text = capsys.readouterr().out
    assert json.loads(text) == {"known": 0.5, "unknown": None, "rows": [None, "né"]}
    assert "NaN" not in text
    assert "Infinity" not in text


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("", "--seed 0"),
        ("a 'b c' --seed 3 --no-fit", "a 'b c' --no-fit --seed 3"),
        ("--fit --name x --name y --quick --size 2.5", "--name x --name y --quick --seed 0"),
    ],
)
def test_a_command_is_told_as_it_was_called(given: str, told: str) -> None:
    """Without what is left at its default, but with the seed."""

    @click.command()
    @click.argument("sets", nargs=-1)
    @click.option("--fit/--no-fit", default=True)
    @click.option("--name", multiple=True)
    @click.option("--quick", is_flag=True)
    @click.option("--size", default=2.5)
    @click.option("--out")
    @click.option("--seed", default=0)
    def measure(**_options: object) -> None:
        click.echo(command_line())

    group = click.Group("collegium", {"measure": measure})
    done = CliRunner().invoke(group, ["measure", *shlex.split(given)])
    assert done.output == f"collegium measure {told}\n"


def test_an_object_is_a_field_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Values are as wide as they are; none steers the terminal; what is empty is a dash."""
    shown = {
        "name": "a\x1b[2J",
        "tags": ["eu", "no-phi"],
        "skills": {"sql": 0.5},
        "members": [{"key": "b"}],
        "enabled": False,
        "price": 0.0,
        "preset": None,
        "prices": {},
    }
    print_object(shown, as_json=False)
    assert capsys.readouterr().out.splitlines() == [
        r"name     a\x1b[2J",
        "tags     eu, no-phi",
        'skills   {"sql": 0.5}',
        'members  [{"key": "b"}]',
        "enabled  False",
        "price    0.0",
        "preset   -",
        "prices   -",
    ]
    print_object(shown, as_json=True)
    assert json.loads(capsys.readouterr().out) == shown


HOSTILE = "a\x1b[2J\x9b31m\u202eb\r\nc"
ESCAPED = r"a\x1b[2J\x9b31m\u202eb\r\nc"


def test_what_callers_wrote_does_not_steer_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Nor turns round the direction of the text; JSON says the same in its own escapes."""
    print_table(["TEXT", "N"], [[HOSTILE, 1]])
    warn(HOSTILE)
    shown = capsys.readouterr()
    assert shown.out.splitlines()[1] == f"{ESCAPED}  1"
    assert shown.err == f"Warning: {ESCAPED}\n"
    print_json({"text": HOSTILE, "rows": ["é", 1]})
    text = capsys.readouterr().out
    assert json.loads(text) == {"text": HOSTILE, "rows": ["é", 1]}
    assert not set("\x1b\x9b\u202e\r") & set(text)
    assert lines("a\tb\nc\x1b") == "a\tb\nc" + r"\x1b"
