"""`collegium expert …`: register, show and change experts."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from collegium.cli.expert_abilities import abilities_of, told_abilities
from collegium.cli.expert_add import KNOWN, KNOWN_OPTIONS, add, options_of
from collegium.cli.expert_profile import profile
from collegium.cli.expert_tokens import tokens
from collegium.cli.output import json_option, print_json, print_object, print_table

if TYPE_CHECKING:
    from collegium.registry.expert import Expert


@click.group(epilog="Example: collegium expert add mine --url http://127.0.0.1:9000/v1")
def command() -> None:
    """Register, show and change experts. Changes take effect with the next request."""


command.add_command(add)
command.add_command(profile)
command.add_command(tokens)


@command.command("list", epilog="Example: collegium expert list --json")
@json_option
def list_experts(as_json: bool) -> None:
    """List the registered experts. INPUT and OUTPUT are dollars per million tokens."""
    experts = asyncio.run(_on_registry("list"))
    if as_json:
        return print_json([asdict(e) for e in experts])
    header = ("NAME", "KIND", "ENABLED", "INPUT", "OUTPUT", "SKILLS", "DESCRIPTION")
    print_table(header, [_row(e) for e in experts])


def _row(expert: Expert) -> tuple[str, ...]:
    skills = ", ".join(f"{s} {v:.0%}" for s, v in expert.skills.items() if v >= 0.5)
    enabled = "yes" if expert.enabled else "no"
    prices = [
        f"${p:g}" if p is not None else "-" for p in (expert.input_price, expert.output_price)
    ]
    return expert.name, expert.kind, enabled, *prices, skills or "-", expert.description[:70]


@command.command(epilog="Example: collegium expert show sql")
@click.argument("name")
@json_option
def show(name: str, as_json: bool) -> None:
    """Show all details of an expert."""
    print_object(asdict(asyncio.run(_on_registry("get", name))), as_json)


@command.command(epilog="Example: collegium expert update mine --output-price 0.6")
@click.argument("name")
@options_of(KNOWN_OPTIONS)
@click.option("--generalist/--no-generalist", default=None)
@click.option("--unsay", multiple=True, metavar="ABILITY", help="Make this ability unknown.")
@json_option
def update(name: str, as_json: bool, unsay: tuple[str, ...], **changes: Any) -> None:
    """Change an expert. Tags replace the existing ones; prices are added.

    "" removes a label. Its name can't be changed: add the model under another name and remove this
    expert. What a router learnt follows the model, not the name; usage and decisions keep the old
    one.
    """
    given = {k: changes[k] for k in (*KNOWN, "generalist") if changes[k] not in (None, (), {})}
    given |= abilities_of(changes, unsay)
    if not given:
        raise click.UsageError("nothing to change: give an option")
    print_object(asyncio.run(_change(name, given)), as_json)


@command.command(epilog="Example: collegium expert remove mine")
@click.argument("name")
@click.option("--with-presets", is_flag=True, help="Also remove its presets.")
@json_option
def remove(name: str, with_presets: bool, as_json: bool) -> None:
    """Remove an expert. Its recorded decisions are kept."""
    from collegium.cli import registering

    asyncio.run(registering.remove(name, with_presets=with_presets))
    print_json({"removed": name}) if as_json else click.echo(f"Removed '{name}'.")


@command.command(epilog="Example: collegium expert enable mine")
@click.argument("name")
@json_option
def enable(name: str, as_json: bool) -> None:
    """Enable an expert again."""
    print_object(asyncio.run(_change(name, {"enabled": True})), as_json)


@command.command(epilog="Example: collegium expert disable mine")
@click.argument("name")
@json_option
def disable(name: str, as_json: bool) -> None:
    """Disable an expert without removing it."""
    print_object(asyncio.run(_change(name, {"enabled": False})), as_json)


@command.command(epilog="Example: collegium expert probe sql")
@click.argument("name")
@json_option
def probe(name: str, as_json: bool) -> None:
    """Detect an expert's capabilities, through the running service if there is one.

    Capabilities set by hand are kept. Sends about ten small requests, and prints what they cost.
    """
    from collegium.cli import registering

    report = asyncio.run(registering.probe(name))
    if as_json:
        return print_json(report)
    took = "" if report["latency_ms"] is None else f" in {report['latency_ms']:.0f} ms"
    click.echo(f"{name}: {report['note']}{took}. {report['answer']!r}")
    for words in told_abilities(report):
        click.echo(words)


async def _change(name: str, given: dict[str, Any]) -> dict[str, Any]:
    from collegium.cli.registering import change

    return await change(name, given)


async def _on_registry(method: str, *args: Any, **kwargs: Any) -> Any:
    from collegium.cli.service_client import open_registry

    async with open_registry() as registry:
        return await getattr(registry, method)(*args, **kwargs)
