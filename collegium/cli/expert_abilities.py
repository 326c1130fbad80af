"""Options that state an expert's capabilities, and the description of a probe."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import click

from collegium.cli.output import dollars

Option = Callable[[Callable[..., None]], Callable[..., None]]
ABILITY_OPTIONS: tuple[Option, ...] = (
    click.option("--can", multiple=True, metavar="ABILITY", help="It has this; repeatable."),
    click.option("--cannot", multiple=True, metavar="ABILITY", help="It lacks this; repeatable."),
    click.option("--max-output", type=click.IntRange(1), help="Longest answer, tokens."),
    click.option("--licence", help="Licence, for rules, such as apache-2.0."),
    click.option("--residency", help="Where prompts go, such as eu."),
    click.option("--data-class", help="Data that it may receive, such as internal."),
    click.option(
        "--local/--remote",
        default=None,
        help="Whether prompts stay in your network, if the address does not show it.",
    ),
)
NO_ABILITIES = ("window_known", "max_output_tokens")
LABELS = ("licence", "residency", "data_class")


def abilities_of(options: Mapping[str, Any], unsaid: Sequence[str] = ()) -> dict[str, Any]:
    """The fields `capabilities` and `labels` as options state them; "" takes a label away."""
    from collegium.registry.capabilities import ABILITIES

    said: dict[str, Any] = dict.fromkeys(unsaid)
    said |= dict.fromkeys(options["can"], True) | dict.fromkeys(options["cannot"], False)
    if unknown := sorted(said.keys() - {*ABILITIES, "max_output_tokens"}):
        known = ", ".join(ABILITIES)
        raise click.UsageError(f"unknown ability {unknown[0]}; available: {known}")
    if both := sorted({*options["can"]} & {*options["cannot"]}):
        raise click.UsageError(f"--can and --cannot both name {both[0]}")
    if options["max_output"] is not None:
        said["max_output_tokens"] = options["max_output"]
    labels = {n: options[n] or None for n in LABELS if options[n] is not None}
    if options["local"] is not None:
        labels["local"] = "yes" if options["local"] else "no"
    fields = {"capabilities": said, "labels": labels}
    return {name: value for name, value in fields.items() if value}


def told_abilities(probe: Mapping[str, Any]) -> Iterator[str]:
    """Describe the result of a probe, and its cost."""
    known = probe.get("capabilities")
    if not known:
        return
    told = {n: v for n, v in known.items() if v is None or isinstance(v, bool)}
    told = {n: v for n, v in told.items() if n not in NO_ABILITIES} | known["endpoints"]
    for words, value in (("Has", True), ("Lacks", False), ("Unknown", None)):
        if names := [name for name, there in told.items() if there is value]:
            yield f"{words}: {', '.join(names)}."
    if probe["tokens"]:
        cost = probe["cost_usd"]
        price = "an unknown amount" if cost is None else dollars(cost)
        yield f"The probe took {probe['tokens']} tokens, which cost {price}."
