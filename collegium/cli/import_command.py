"""`collegium import`: register the experts of another gateway's configuration."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from collegium.cli.output import json_option, print_json
from collegium.errors import BadRequest, CollegiumError

if TYPE_CHECKING:
    from collegium.experts.imports.found import Found, Json

LARGEST = 4 << 20
SOURCES = ("litellm", "vllm-sr", "llama-swap")


@click.command("import", epilog="Example: collegium import litellm config.yaml --dry-run")
@click.argument("source", type=click.Choice(SOURCES))
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--url", help="Address of llama-swap. Default: http://127.0.0.1:8080/v1.")
@click.option("--dry-run", is_flag=True, help="Only show what would be registered.")
@json_option
def command(source: str, file: Path, url: str | None, dry_run: bool, as_json: bool) -> None:
    """Register the experts of another gateway's configuration.

    Each expert is probed and registered as `collegium expert add` does it. One that is registered
    already is left as it is, so the command can be repeated. What could not be carried over is
    listed. The configuration's secrets are neither stored nor shown.
    """
    if url is not None and source != "llama-swap":
        raise click.UsageError("--url is for llama-swap; the other files name their addresses")
    found = _reader(source, url)(_parsed(file))
    if not found.experts:
        raise BadRequest(f"{file} describes no expert that can be imported", "file")
    results = {} if dry_run else asyncio.run(_register_all(found, quiet=as_json))
    if as_json:
        print_json(
            {
                "experts": [expert | results.get(expert["name"], {}) for expert in found.experts],
                "aliases": found.aliases,
                "left_out": found.left_out,
            }
        )
    else:
        _tell(found, dry_run=dry_run)
    failed = [name for name, result in results.items() if result["result"] == "failed"]
    if failed:
        raise CollegiumError(f"{len(failed)} of {len(found.experts)} experts were not registered")


def _reader(source: str, url: str | None) -> Callable[[Mapping[str, Any]], Found]:
    from collegium.experts.imports import litellm, llama_swap, vllm_sr

    if source == "llama-swap":
        return partial(llama_swap.read, address=url or llama_swap.ADDRESS)
    return litellm.read if source == "litellm" else vllm_sr.read


def _parsed(file: Path) -> Mapping[str, Any]:
    import yaml

    if file.stat().st_size > LARGEST:
        raise BadRequest(f"{file} has more than {LARGEST >> 20} MiB", "file")
    try:
        config = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as exc:
        words = " ".join(str(exc).split())
        raise BadRequest(f"{file} is not YAML that can be read: {words}", "file") from exc
    if not isinstance(config, dict):
        raise BadRequest(f"{file} is not a configuration: it has no sections", "file")
    return config


async def _register_all(found: Found, *, quiet: bool) -> dict[str, Json]:
    """Register the experts; return `registered`, `kept` or `failed` for each, with the reason."""
    from collegium.cli.service_client import open_registry

    async with open_registry() as registry:
        known = {expert.name for expert in await registry.list()}
    results: dict[str, Json] = {}
    for expert in found.experts:
        name = expert["name"]
        result = _KEPT if name in known else await _registered(expert)
        results[name] = result
        if not quiet:
            click.echo(f"{result['result']:<10}  {name}: {result['detail']}")
    return results


_KEPT = {"result": "kept", "detail": "it is registered already"}


async def _registered(expert: Json) -> Json:
    from collegium.cli.registering import register

    try:
        report = (await register(dict(expert)))["probe"]
    except CollegiumError as exc:
        return {"result": "failed", "detail": exc.whole}
    return {"result": "registered", "detail": report["note"]}


def _tell(found: Found, *, dry_run: bool) -> None:
    if dry_run:
        for expert in found.experts:
            where = expert.get("base_url") or expert["kind"]
            click.echo(f"{expert['name']}: {expert.get('model')} at {where}")
    if found.aliases:
        click.echo("\nOther names for these experts, to be set for the service:")
        click.echo(f"COLLEGIUM_MODEL_ALIASES='{json.dumps(found.aliases)}'")
    if found.left_out:
        click.echo("\nNot carried over:")
        for each in found.left_out:
            click.echo(f"  {each}")
