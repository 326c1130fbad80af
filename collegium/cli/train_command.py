"""`collegium train …`: specialists, the sparse mixture's gates, and the static encoder."""

from __future__ import annotations

from pathlib import Path

import click

from collegium.cli.train_smaller import prune, quantise
from collegium.experts.specialists import ADAPTERS, SPECIALISTS


@click.group(epilog="Example: collegium train specialists --only sql")
def command() -> None:
    """Train specialists, the sparse mixture and the static encoder; make sparse models smaller."""


@command.command(epilog="Example: collegium train specialists --only sql --force")
@click.option(
    "--only", multiple=True, type=click.Choice(sorted(SPECIALISTS)), help="Only this one."
)
@click.option("--steps", type=click.IntRange(min=1), help="Steps instead of the recipe's.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=ADAPTERS, help="Folder of the adapters."
)
@click.option("--force", is_flag=True, help="Train finished specialists again.")
def specialists(only: tuple[str, ...], steps: int | None, out: Path, force: bool) -> None:
    """Train the specialists' adapters; an interrupted run continues where it stopped."""
    from collegium.evals.tasks import TASKS
    from collegium.evals.training.specialists import STEPS, Recipe, is_finished, train
    from collegium.experts.embedded import ensure_base_model
    from collegium.settings import load_settings

    base = ensure_base_model(load_settings().cache_dir, click.echo)
    for name in only or TASKS:
        if is_finished(out / name) and not force:
            click.echo(f"{name} is finished already (--force trains it again)")
            continue
        folder = train(TASKS[name], base, out, Recipe(steps=steps or STEPS[name]))
        click.echo(f"{name} is in {folder}")


@command.command(epilog="Example: collegium train gates --out runs/sparse")
@click.option("--steps", type=click.IntRange(min=1), help="Steps instead of the recipe's.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the weights.")
def gates(steps: int | None, out: Path | None) -> None:
    """Train the sparse mixture's gates; an interrupted run continues where it stopped."""
    import torch

    from collegium.evals.training.sparse.gates import Recipe, train
    from collegium.experts.embedded import ensure_base_model
    from collegium.experts.sparse import WEIGHTS
    from collegium.settings import load_settings

    # Softmax's backward pass takes 15 to 20 times longer where probabilities are subnormal. It is
    # set here, for it is of the whole process.
    torch.set_flush_denormal(True)
    base = ensure_base_model(load_settings().cache_dir, click.echo)
    recipe = Recipe() if steps is None else Recipe(steps=steps)
    click.echo(f"The gates are in {train(base, out or WEIGHTS, recipe)}")


@command.command(
    "static-encoder", epilog="Example: collegium train static-encoder --out runs/static"
)
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the table.")
def static_encoder(out: Path | None) -> None:
    """Derive the static encoder's table from MiniLM."""
    from collegium.evals.training.static_table import write
    from collegium.experts.embedded import encoder_path
    from collegium.router.static_encoder import WEIGHTS

    folder = out or WEIGHTS
    write(encoder_path(), folder)
    click.echo(f"The table is in {folder}")


command.add_command(prune)
command.add_command(quantise)
