"""`collegium key …`: keys, their roles and expiry, and the experts that they allow."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import quote

import click

from collegium.cli.changing import call
from collegium.cli.output import json_option, print_json, print_object, print_table
from collegium.cli.times import Duration, Moment

PATH = "/v1/keys"
LIMITS = ("allowed_experts", "allowed_applications")
ROLES = click.Choice(["operator", "team-lead", "caller", "read-only"])
Command = TypeVar("Command", bound=Callable[..., Any])


def limits_options(command: Command) -> Command:
    """The options that say whom a key or a team may ask, and for what."""
    experts = click.option(
        "--expert", multiple=True, help="Expert that may be used; repeatable. Default: all."
    )
    applications = click.option(
        "--application",
        multiple=True,
        help="Application that it may use; repeatable. Default: all.",
    )
    description = click.option("--description", help="Description for people.")
    return experts(applications(description(command)))


def limits_of(
    expert: tuple[str, ...], application: tuple[str, ...], description: str | None
) -> dict[str, Any]:
    """Return the limits that these options describe, in the API's format."""
    given = {
        "allowed_experts": list(expert) or None,
        "allowed_applications": list(application) or None,
        "description": description,
    }
    return {name: value for name, value in given.items() if value is not None}


def print_limited(found: dict[str, Any], as_json: bool) -> None:
    """Print a key or a team; of people, limits that there are not are called `all`."""
    if not as_json:
        found |= {field: named(found[field]) for field in LIMITS}
    print_object(found, as_json)


def named(names: list[str] | None) -> str:
    """What a list of names allows, in words."""
    return "all" if names is None else ", ".join(names) or "none"


@click.group(epilog="Example: collegium key create anna --team search --expires 90d")
def command() -> None:
    """Create, list, change, rotate and revoke keys."""


@command.command(epilog="Example: collegium key create anna --team search --expires 90d")
@click.argument("name")
@click.option("--role", type=ROLES, default="caller", show_default=True, help="Role of the key.")
@click.option("--team", help="Team that owns its rows and its spending.")
@click.option("--expires", type=Moment(), help="Expiry: a duration such as 90d, or a date.")
@limits_options
@json_option
def create(
    name: str, role: str, team: str | None, expires: datetime | None, as_json: bool, **limits: Any
) -> None:
    """Create a key and print its secret, which is shown only once.

    NAME owns everything that is made with the key, also after a rotation.
    """
    body = {"name": name, "role": role, "team": team, **limits_of(**limits)}
    if expires is not None:
        body["expires_at"] = expires.isoformat()
    _print_secret(asyncio.run(call("POST", PATH, body)), as_json)


@command.command("list", epilog="Example: collegium key list --state active")
@click.option(
    "--state", type=click.Choice(["active", "expired", "revoked"]), help="Only this state."
)
@click.option("--team", help="Only keys of this team.")
@json_option
def list_all(state: str | None, team: str | None, as_json: bool) -> None:
    """List keys, oldest first, without their secrets."""
    filters = {"state": state, "team": team}
    query = "&".join(f"{name}={quote(value)}" for name, value in filters.items() if value)
    found = asyncio.run(_all(query))
    if as_json:
        return print_json(found)
    header = ("NAME", "ROLE", "TEAM", "STATE", "KEY", "EXPIRES", "EXPERTS")
    print_table(header, [_row(key) for key in found])


@command.command(epilog="Example: collegium key show anna")
@click.argument("key")
@json_option
def show(key: str, as_json: bool) -> None:
    """Show a key, by name or id."""
    print_limited(asyncio.run(call("GET", _of(key))), as_json)


@command.command(epilog="Example: collegium key update anna --expert sql --expert general")
@click.argument("key")
@click.option("--role", type=ROLES, help="Role of the key.")
@click.option("--expires", type=Moment(), help="Expiry: a duration such as 90d, or a date.")
@limits_options
@click.option("--never-expires", is_flag=True, help="Remove the expiry.")
@click.option("--all-experts", is_flag=True, help="Allow all experts again.")
@click.option("--all-applications", is_flag=True, help="Allow all applications again.")
@json_option
def update(
    key: str,
    role: str | None,
    expires: datetime | None,
    never_expires: bool,
    all_experts: bool,
    all_applications: bool,
    as_json: bool,
    **limits: Any,
) -> None:
    """Change a key's permissions or expiry. Its secret stays the same."""
    changes = limits_of(**limits)
    if role is not None:
        changes["role"] = role
    if expires is not None:
        changes["expires_at"] = expires.isoformat()
    cleared = {
        "expires_at": never_expires,
        "allowed_experts": all_experts,
        "allowed_applications": all_applications,
    }
    changes |= {name: None for name, is_cleared in cleared.items() if is_cleared}
    if not changes:
        raise click.UsageError("say what to change, such as --role or --expert")
    print_limited(asyncio.run(call("PATCH", _of(key), changes)), as_json)


@command.command(epilog="Example: collegium key rotate anna --overlap 24h")
@click.argument("key")
@click.option(
    "--overlap", type=Duration(), default="0s", help="How long the old secret remains valid."
)
@json_option
def rotate(key: str, overlap: timedelta, as_json: bool) -> None:
    """Give a key a new secret and print it, once. Its rows and limits stay."""
    body = {"overlap_s": overlap.total_seconds()}
    _print_secret(asyncio.run(call("POST", f"{_of(key)}/rotate", body)), as_json)


@command.command(epilog="Example: collegium key revoke anna")
@click.argument("key")
@json_option
def revoke(key: str, as_json: bool) -> None:
    """Revoke a key permanently; replicas follow within a second."""
    print_limited(asyncio.run(call("POST", f"{_of(key)}/revoke")), as_json)


@command.command(epilog="Example: collegium key identify < leaked.txt")
@json_option
def identify(as_json: bool) -> None:
    """Say which key a secret on standard input belongs or belonged to.

    Reads the registry; the secret is not sent anywhere.
    """
    secret = sys.stdin.readline().strip()
    found = asyncio.run(_identified(secret))
    if found is None:
        raise click.ClickException("no key of the registry has this secret")
    print_limited(found, as_json)


async def _all(query: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after = ""
    while True:
        page = await call("GET", f"{PATH}?limit=1000&{query}{after}")
        found += page["data"]
        if not page["has_more"]:
            return found
        after = f"&after={page['last_id']}"


async def _identified(secret: str) -> dict[str, Any] | None:
    from collegium.cli.service_client import open_database
    from collegium.registry.keys import KeyRegistry

    async with open_database() as database:
        key = await KeyRegistry(database).identified(secret)
    if key is None:
        return None
    shown: dict[str, Any] = await call("GET", _of(key.id))
    return shown


def _print_secret(key: dict[str, Any], as_json: bool) -> None:
    """Print only the secret to standard output, so that it can be piped."""
    if as_json:
        return print_json(key)
    until = key["former_until"]
    overlap = f"; the one before is good until {until}" if until else ""
    click.echo(f"The key of '{key['name']}' ({key['role']}), shown this once{overlap}:", err=True)
    click.echo(key["key"])


def _of(key: str) -> str:
    return f"{PATH}/{quote(key, safe='')}"


def _row(key: dict[str, Any]) -> tuple[Any, ...]:
    return (
        key["name"],
        key["role"],
        key["team"] or "-",
        key["state"],
        f"{key['prefix']}…{key['last_four']}",
        (key["expires_at"] or "never")[:10],
        named(key["allowed_experts"]),
    )
