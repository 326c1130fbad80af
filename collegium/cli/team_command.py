"""`collegium team …`: groups of keys, and the experts that they allow at most."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote

import click

from collegium.cli.changing import call
from collegium.cli.key_command import limits_of, limits_options, named, print_limited
from collegium.cli.output import json_option, print_json, print_table

PATH = "/v1/teams"


@click.group(epilog="Example: collegium team create search --expert sql --expert general")
def command() -> None:
    """Create, list, show, change and remove teams of keys."""


@command.command(epilog="Example: collegium team create search --expert sql --expert general")
@click.argument("name")
@limits_options
@json_option
def create(name: str, as_json: bool, **limits: Any) -> None:
    """Create a team. Its limits apply to all its keys, in addition to their own."""
    print_limited(asyncio.run(call("POST", PATH, {"name": name, **limits_of(**limits)})), as_json)


@command.command("list", epilog="Example: collegium team list")
@json_option
def list_all(as_json: bool) -> None:
    """List teams with their limits."""
    found = asyncio.run(call("GET", PATH))["data"]
    if as_json:
        return print_json(found)
    header = ("NAME", "EXPERTS", "APPLICATIONS", "DESCRIPTION")
    print_table(header, [_row(team) for team in found])


@command.command(epilog="Example: collegium team show search")
@click.argument("name")
@json_option
def show(name: str, as_json: bool) -> None:
    """Show a team."""
    print_limited(asyncio.run(call("GET", _of(name))), as_json)


@command.command(epilog="Example: collegium team update search --all-experts")
@click.argument("name")
@limits_options
@click.option("--all-experts", is_flag=True, help="Allow all experts again.")
@click.option("--all-applications", is_flag=True, help="Allow all applications again.")
@json_option
def update(
    name: str, all_experts: bool, all_applications: bool, as_json: bool, **limits: Any
) -> None:
    """Change the limits of a team."""
    changes = limits_of(**limits)
    cleared = {"allowed_experts": all_experts, "allowed_applications": all_applications}
    changes |= {field: None for field, is_cleared in cleared.items() if is_cleared}
    if not changes:
        raise click.UsageError("say what to change, such as --expert or --all-experts")
    print_limited(asyncio.run(call("PATCH", _of(name), changes)), as_json)


@command.command(epilog="Example: collegium team remove search")
@click.argument("name")
def remove(name: str) -> None:
    """Remove a team that never had keys."""
    asyncio.run(call("DELETE", _of(name)))
    click.echo(f"The team '{name}' is removed.")


def _of(name: str) -> str:
    return f"{PATH}/{quote(name, safe='')}"


def _row(team: dict[str, Any]) -> tuple[str, ...]:
    return (
        team["name"],
        named(team["allowed_experts"]),
        named(team["allowed_applications"]),
        team["description"] or "-",
    )
