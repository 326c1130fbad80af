"""`collegium application …`: the sources of requests and their policies."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote

import click

from collegium.cli.numbers import FiniteRange
from collegium.cli.output import json_option, print_json, print_object, print_table
from collegium.cli.service_client import call

PATH = "/v1/applications"


@click.group(epilog="Example: collegium application list")
def command() -> None:
    """See, name, merge and split applications, and set their policies.

    Needs the running service. Changes take effect with its next request.
    """


@command.command("list", epilog="Example: collegium application list --limit 20")
@click.option("--limit", type=click.IntRange(1), default=50, help="How many, the busiest first.")
@json_option
def list_all(limit: int, as_json: bool) -> None:
    """List applications with their number and share of requests."""
    found = asyncio.run(call("GET", PATH))["data"]
    if as_json:
        return print_json(found[:limit])
    shown = [a for a in found if a["merged_into"] is None][:limit]
    header = ("KEY", "NAME", "REQUESTS", "SHARE", "MERGED", "TEXT")
    print_table(header, [_row(application) for application in shown])


@command.command(epilog="Example: collegium application show support-chat")
@click.argument("key")
@json_option
def show(key: str, as_json: bool) -> None:
    """Show all details of an application."""
    print_object(asyncio.run(call("GET", _of(key))), as_json)


@command.command(epilog='Example: collegium application name app-1f2e3d4c "Order desk"')
@click.argument("key")
@click.argument("name")
@json_option
def name(key: str, name: str, as_json: bool) -> None:
    """Set an application's display name; "" removes it."""
    print_object(asyncio.run(call("PATCH", _of(key), {"name": name})), as_json)


@command.command(epilog="Example: collegium application merge app-1f2e3d4c support-chat")
@click.argument("key")
@click.argument("into")
@json_option
def merge(key: str, into: str, as_json: bool) -> None:
    """Merge an application into another one, whose policy then applies to it."""
    print_object(asyncio.run(call("POST", f"{_of(key)}/merge", {"into": into})), as_json)


@command.command(epilog="Example: collegium application split app-1f2e3d4c")
@click.argument("key")
@click.option("--fingerprint", help="The application, merged into KEY, to split off.")
@json_option
def split(key: str, fingerprint: str | None, as_json: bool) -> None:
    """Undo a merge of KEY, or of an application that was merged into it."""
    body = {} if fingerprint is None else {"fingerprint": fingerprint}
    print_object(asyncio.run(call("POST", f"{_of(key)}/split", body)), as_json)


@command.command(
    epilog="Example: collegium application policy support-chat --tradeoff 5 --deny gpt4"
)
@click.argument("key")
@click.option("--tradeoff", type=FiniteRange(0, 10), help="0 best quality … 10 cheapest.")
@click.option("--allow", multiple=True, help="Use only this expert; repeatable.")
@click.option("--deny", multiple=True, help="Never use this expert; repeatable.")
@click.option("--tag", multiple=True, help="Tag that experts need; repeatable.")
@click.option("--residency", multiple=True, help="Allowed residency, such as eu; repeatable.")
@click.option("--licence", multiple=True, help="Allowed licence; repeatable.")
@click.option("--data-class", multiple=True, help="Allowed data class; repeatable.")
@click.option("--local", is_flag=True, help="Only experts that run here or at private addresses.")
@click.option("--max-cost-usd", type=FiniteRange(0), help="Maximum dollars per answer.")
@click.option("--budget-usd", type=FiniteRange(0), help="Maximum dollars per window.")
@click.option(
    "--budget-window-s",
    type=FiniteRange(0, min_open=True),
    help="Length of the window, seconds.",
)
@click.option("--clear", is_flag=True, help="Remove all other rules.")
@json_option
def policy(key: str, clear: bool, as_json: bool, **options: Any) -> None:
    """Set the rules for an application's requests. Without options, show them."""
    rules: dict[str, Any] = dict.fromkeys([*_FIELDS.values(), "require"]) if clear else {}
    if require := {field: options[field] for field in _REQUIRED if options[field]}:
        rules["require"] = require
    for option, field in _FIELDS.items():
        value = options[option]
        if value not in (None, ()):
            rules[field] = list(value) if isinstance(value, tuple) else value
    if not rules:
        found = asyncio.run(call("GET", _of(key)))["policy"]
        return print_json(found)
    print_object(asyncio.run(call("PATCH", _of(key), {"policy": rules})), as_json)


_REQUIRED = ("residency", "licence", "data_class", "local")
_FIELDS = {
    "tradeoff": "tradeoff",
    "allow": "experts_allow",
    "deny": "experts_deny",
    "tag": "required_tags",
    "max_cost_usd": "max_cost_usd",
    "budget_usd": "budget_usd",
    "budget_window_s": "budget_window_s",
}


def _of(key: str) -> str:
    return f"{PATH}/{quote(key, safe='')}"


def _row(application: dict[str, Any]) -> tuple[Any, ...]:
    beginning = " ".join(application["text"].split())
    return (
        application["key"],
        application["name"] or "-",
        application["requests"],
        f"{application['share']:.1%}",
        len(application["merged"]),
        beginning if len(beginning) <= 60 else f"{beginning[:57]}…",
    )
