"""`--map MODEL=EXPERT`: the experts that recorded models correspond to."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from collegium.cli.output import warn

if TYPE_CHECKING:
    from collegium.evals.routing.names import ModelNames
    from collegium.settings import Settings


MOST_NAMED = 8
"""Models that a warning names; JSON has them all."""


def map_option(function: Any) -> Any:
    """Add `--map`, which may be repeated."""
    option = click.option(
        "--map",
        "mapped",
        metavar="MODEL=EXPERT",
        multiple=True,
        help="Expert that a model's outcomes belong to, or @FILE with such lines; repeatable.",
    )
    return option(function)


def model_names(settings: Settings, mapped: Sequence[str]) -> ModelNames:
    """Return the mapping from the options, and the registered experts."""
    from collegium.evals.routing.names import ModelNames

    return ModelNames(read_map(mapped), asyncio.run(_experts(settings)))


def read_map(mapped: Sequence[str]) -> dict[str, str]:
    """Read `MODEL=EXPERT` and `@FILE`; in a file, empty lines and those after # do not count."""
    found: dict[str, str] = {}
    for text in mapped:
        lines = _lines(Path(text[1:])) if text.startswith("@") else [("--map", text)]
        for where, line in lines:
            model, _, expert = (part.strip() for part in line.rpartition("="))
            if not model or not expert:
                raise click.UsageError(f"{where} {line}: expected MODEL=EXPERT")
            if found.get(model, expert) != expert:
                raise click.UsageError(f"{where} {line}: '{model}' is already {found[model]}'s")
            found[model] = expert
    return found


def warn_unmatched(names: ModelNames, models: Sequence[str]) -> list[str]:
    """Name the models that belong to no registered expert, and say what helps."""
    unmatched = names.unmatched(models)
    if unmatched:
        more = len(unmatched) - MOST_NAMED
        warn(
            f"no registered expert is {', '.join(unmatched[:MOST_NAMED])}"
            f"{f' and {more} more' if more > 0 else ''}. Register one by that name, or say which "
            "it is with --map MODEL=EXPERT."
        )
    return unmatched


def _lines(path: Path) -> list[tuple[str, str]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        raise click.UsageError(f"--map @{path}: not readable: {exc}") from exc
    numbered = enumerate(map(str.strip, lines), start=1)
    return [(f"{path}, line {i}:", line) for i, line in numbered if line and line[0] != "#"]


async def _experts(settings: Settings) -> Any:
    """The registered experts; none if there is no registry, which is not created for this."""
    from sqlalchemy import make_url

    from collegium.cli.service_client import open_registry

    url = make_url(settings.registry_url)
    file = url.database or ""
    if url.get_backend_name() == "sqlite" and not Path(file).is_file():
        return ()
    async with open_registry() as registry:
        return tuple(await registry.list())
