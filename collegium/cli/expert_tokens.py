"""`collegium expert tokens`, and the options of `add` that declare a token policy."""

from __future__ import annotations

import asyncio
import json
import math
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from collegium.cli.output import json_option, print_json, print_table


@click.command(epilog="Example: collegium expert tokens mine")
@click.argument("name")
@json_option
def tokens(name: str, as_json: bool) -> None:
    """Show token-routing statistics of a sparse model since its engine started."""
    counted = asyncio.run(_tokens(name))
    if as_json:
        return print_json(counted)
    rows = [_layer_row(layer) for layer in counted["layers"]]
    print_table(["layer", "tokens", "skipped", "entropy, bits", "busiest experts (share)"], rows)


def _layer_row(layer: dict[str, Any]) -> list[str]:
    counts, slots = layer["counts"], max(1, sum(layer["counts"]))
    busiest = sorted(range(len(counts)), key=lambda expert: -counts[expert])[:4]
    return [
        str(layer["layer"]),
        str(layer["tokens"]),
        str(layer["skipped_slots"]),
        f"{layer['entropy_bits']:.2f} of {math.log2(len(counts)):.2f}",
        ", ".join(f"{expert} ({counts[expert] / slots:.0%})" for expert in busiest),
    ]


async def _tokens(name: str) -> dict[str, Any]:
    from collegium.cli.service_client import running_service

    async with running_service() as service:
        if service is None:
            raise click.ClickException("no service is running here: start `collegium serve`")
        experts = (await service.call("GET", "/v1/experts"))["data"]
        engine = next((e["engine"] for e in experts if e["name"] == name), name)
        if engine is None:
            raise click.ClickException(f"expert '{name}' is remote: its tokens are not seen here")
        counted: dict[str, Any] = await service.call(
            "GET", f"/v1/engines/{quote(engine, safe='')}/tokens"
        )
        return counted


def token_policy(text: str | None, statistics: bool) -> dict[str, Any] | None:
    """Return the token policy that `--token-policy` and `--token-statistics` describe."""
    if text is None:
        return {"statistics": True} if statistics else None
    policy = json_object(text, "--token-policy")
    return {**policy, "statistics": True} if statistics else policy


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def json_object(text: str, option: str) -> dict[str, Any]:
    """An option's JSON object, or that of the file that it names after an `@`."""
    try:
        if text.startswith("@"):
            text = Path(text[1:]).read_text()
        value = json.loads(text, parse_constant=_no_number)
    except OSError as exc:
        raise click.UsageError(f"{option}: {text[1:]} can't be read: {exc.strerror}") from exc
    except (ValueError, RecursionError) as exc:
        raise click.UsageError(f"{option} is not valid JSON: {exc}") from exc
    if not isinstance(value, dict):
        raise click.UsageError(f"{option} must be a JSON object")
    return value
