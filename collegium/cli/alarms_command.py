"""`collegium alarms list|close`: what the service noticed, and what was done about it."""

from __future__ import annotations

import asyncio

import click

from collegium.cli.output import json_option, print_json, print_table
from collegium.cli.service_client import call

ALARMS = "/v1/alarms"


@click.group(epilog="Example: collegium alarms list")
def command() -> None:
    """List and close alarms: experts that got worse, trials that were ended."""


@command.command("list", epilog="Example: collegium alarms list --status all")
@click.option(
    "--status",
    type=click.Choice(["open", "closed", "all"]),
    default="open",
    help="Which alarms [default: open].",
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
@click.option("--reason", default="", help="Kept with the alarm.")
@json_option
def close(alarm_id: str, reason: str, as_json: bool) -> None:
    """Close an alarm that was dealt with; it comes back where nothing has changed."""
    found = asyncio.run(call("POST", f"{ALARMS}/{alarm_id}/close", {"reason": reason}))
    print_json(found) if as_json else click.echo(f"{alarm_id} is closed.")
