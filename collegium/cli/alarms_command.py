"""`collegium alarms list|close`: problems that the service detected."""

from __future__ import annotations

import asyncio

import click

from collegium.cli.output import json_option, print_json, print_table
from collegium.cli.service_client import call

ALARMS = "/v1/alarms"


@click.group(epilog="Example: collegium alarms list")
def command() -> None:
    """List and close alarms: experts that got worse, routers that were rolled back."""


@command.command("list", epilog="Example: collegium alarms list --status all")
@click.option(
    "--status",
    type=click.Choice(["open", "closed", "all"]),
    default="open",
    help="Alarms to list [default: open].",
)
@json_option
def list_alarms(status: str, as_json: bool) -> None:
    """List the latest alarms, newest first."""
    found = asyncio.run(call("GET", f"{ALARMS}?status={status}"))["data"]
    if as_json:
        return print_json(found)
    if not found:
        return click.echo("There is no open alarm." if status == "open" else "There is no alarm.")
    rows = [
        (a["id"], a["created_at"][:16], a["status"], a["kind"], a["expert"] or a["router"] or "-",
         a["detail"] + (f" [{a['closed_for']}]" if a["closed_for"] else ""))
        for a in found
    ]  # fmt: skip
    print_table(("ALARM", "SINCE", "STATUS", "KIND", "OF", "WHAT"), rows)


@command.command(epilog='Example: collegium alarms close alm_4f1c --reason "engine restarted"')
@click.argument("alarm_id", metavar="ALARM")
@click.option("--reason", default="", help="Reason, stored with the alarm.")
@json_option
def close(alarm_id: str, reason: str, as_json: bool) -> None:
    """Close an alarm. It comes back if its cause persists."""
    found = asyncio.run(call("POST", f"{ALARMS}/{alarm_id}/close", {"reason": reason}))
    print_json(found) if as_json else click.echo(f"{alarm_id} is closed.")
