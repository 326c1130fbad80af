"""`collegium budget set|list|show|remove`: limits on keys, teams and applications."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlencode

import click

from collegium.cli.numbers import FiniteRange
from collegium.cli.output import json_option, print_json, print_table
from collegium.cli.service_client import call
from collegium.registry.budgets.limits import COUNTED, EACH, SCOPES, WINDOWS

BUDGETS = "/v1/budgets"
OPTIONS = {
    "usd": ("--usd", FiniteRange(0), "Dollars in each window."),
    "tokens": ("--tokens", int, "Tokens, read and written, in each window."),
    "joules": ("--joules", FiniteRange(0), "Joules in each window, by forecasts of time."),
    "requests": ("--requests", int, "Requests in each window."),
    "rpm": ("--rpm", int, "Requests a minute."),
    "tpm": ("--tpm", int, "Tokens a minute."),
    "parallel": ("--parallel", int, "Requests at once."),
    "n": ("--max-n", int, "Largest `n` of a request."),
    "panel": ("--max-panel", int, "Largest panel."),
    "max_tokens": ("--max-tokens", int, "Largest `max_tokens`; larger ones are lowered."),
    "stored_bytes": ("--stored-bytes", int, "Bytes of files and kept responses."),
}
HINTS = {
    "key": " `collegium key list` shows all.",
    "team": " `collegium team list` shows all.",
    "application": " Applications of a key are called KEY:NAME; `collegium application list` shows "
    "all that have asked.",
}
RATES = {"rpm": "requests", "tpm": "tokens"}


@click.group(epilog="Example: collegium budget set key:ada --usd 5 --window day")
def command() -> None:
    """Set, list and remove limits of keys, teams and applications."""


def _options(function: Any) -> Any:
    for name, (option, kind, words) in reversed(OPTIONS.items()):
        function = click.option(option, name, type=kind, help=words)(function)
    return function


@command.command("set", epilog="Example: collegium budget set team:search --usd 50 --window month")
@click.argument("whose", metavar="SCOPE:NAME")
@click.option(
    "--window",
    default="day",
    metavar="WINDOW",
    help=f"{', '.join(WINDOWS)}, or seconds such as 300s [default: day].",
)
@_options
@json_option
def set_limits(whose: str, window: str, as_json: bool, **amounts: float | None) -> None:
    """Set limits of `key:NAME`, `team:NAME` or `application:NAME`.

    The name `*` applies to each one without a limit of its own, counted separately.
    """
    scope, name = _split(whose)
    given = {metric: amount for metric, amount in amounts.items() if amount is not None}
    if not given:
        raise click.UsageError("Name at least one limit, such as --usd 5 or --rpm 60")
    limits = []
    for option, amount in given.items():
        metric = RATES.get(option, option)
        limit = {"scope": scope, "name": name, "metric": metric, "amount": amount}
        if metric in COUNTED:
            limit["window"] = "minute" if option in RATES else window
        limits.append(limit)
    shown = asyncio.run(_all([("PUT", BUDGETS, limit) for limit in limits]))
    if as_json:
        return print_json(shown)
    _print(shown)
    if not shown[0]["known"]:
        click.echo(
            f"There is no {whose} yet: the limit counts once there is.{HINTS[scope]}", err=True
        )


@command.command("list", epilog="Example: collegium budget list")
@json_option
def list_limits(as_json: bool) -> None:
    """List all limits with their use in the current window."""
    _list("", as_json)


@command.command(epilog="Example: collegium budget show key:ada")
@click.argument("whose", metavar="SCOPE:NAME")
@json_option
def show(whose: str, as_json: bool) -> None:
    """Show the limits of one key, team or application."""
    scope, name = _split(whose)
    _list(f"?{urlencode({'scope': scope, 'name': name})}", as_json)


@command.command(epilog="Example: collegium budget remove key:ada --metric usd --window day")
@click.argument("whose", metavar="SCOPE:NAME")
@click.option("--metric", help="Only this metric, such as usd or requests.")
@click.option("--window", help="Only this window.")
@json_option
def remove(whose: str, metric: str | None, window: str | None, as_json: bool) -> None:
    """Remove limits: all of a key, team or application, or only those selected."""
    scope, name = _split(whose)
    chosen = {"scope": scope, "name": name, "metric": metric, "window": window}
    query = urlencode({k: v for k, v in chosen.items() if v is not None})
    found = asyncio.run(call("DELETE", f"{BUDGETS}?{query}"))
    if as_json:
        return print_json(found)
    number = found["removed"]
    click.echo(f"{number} limit{'' if number == 1 else 's'} of {whose} removed.")


def _list(query: str, as_json: bool) -> None:
    found = asyncio.run(call("GET", f"{BUDGETS}{query}"))["data"]
    if as_json:
        return print_json(found)
    _print(found) if found else click.echo("There is no such limit.")


async def _all(calls: list[tuple[str, str, Any]]) -> list[Any]:
    return [await call(*each) for each in calls]


def _split(whose: str) -> tuple[str, str]:
    scope, _, name = whose.partition(":")
    if scope not in SCOPES or not name:
        raise click.UsageError(
            f"'{whose}' is not SCOPE:NAME: write {', '.join(f'{s}:NAME' for s in SCOPES)}, or "
            f"{EACH} as the name for each"
        )
    return scope, name


def _print(limits: list[Any]) -> None:
    rows = [
        (
            f"{each['scope']}:{each['name']}",
            each["metric"],
            each["window"] or "-",
            f"{each['amount']:g}",
            *(f"{each[k]:.6g}" if k in each else "-" for k in ("used", "reserved", "left")),
            (each.get("window_ends") or "-")[:16],
        )
        for each in limits
    ]
    print_table(("WHOSE", "OF", "WINDOW", "LIMIT", "USED", "RESERVED", "LEFT", "ENDS"), rows)
