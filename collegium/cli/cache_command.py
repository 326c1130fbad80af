"""`collegium cache show|clear`: the response cache of the running service."""

from __future__ import annotations

import asyncio

import click

from collegium.cli.output import json_option, print_json, print_object
from collegium.cli.service_client import call

CACHE = "/v1/cache"


@click.group(epilog="Example: collegium cache show")
def command() -> None:
    """Show and clear the response cache. Needs the service."""


@command.command(epilog="Example: collegium cache show")
@json_option
def show(as_json: bool) -> None:
    """Show the cache's mode, its bounds and how much it holds."""
    print_object(asyncio.run(call("GET", CACHE)), as_json)


@command.command(epilog="Example: collegium cache clear")
@json_option
def clear(as_json: bool) -> None:
    """Forget all cached answers, of all replicas where they share Redis."""
    found = asyncio.run(call("DELETE", CACHE))
    if as_json:
        return print_json(found)
    answers = "1 answer" if found["deleted"] == 1 else f"{found['deleted']} answers"
    click.echo(f"{answers} removed from the cache.")
