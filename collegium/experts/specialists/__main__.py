"""Train the specialists: python -m collegium.experts.specialists (make specialists)."""

from pathlib import Path

import click

from collegium.experts.embedded import ensure_base_model
from collegium.experts.specialists import ADAPTERS
from collegium.experts.specialists.tasks import TASKS
from collegium.experts.specialists.training import STEPS, Recipe, is_finished, train

DEFAULT_CACHE = Path("~/.cache/collegium").expanduser()


@click.command()
@click.option("--only", multiple=True, type=click.Choice(sorted(TASKS)), help="Train just this.")
@click.option("--steps", type=click.IntRange(min=1), help="Steps instead of the recipe's.")
@click.option("--out", type=click.Path(path_type=Path), default=ADAPTERS, help="Adapters' folder.")
@click.option("--cache", type=click.Path(path_type=Path), default=DEFAULT_CACHE, show_default=True)
@click.option("--force", is_flag=True, help="Train finished specialists again.")
def main(only: tuple[str, ...], steps: int | None, out: Path, cache: Path, force: bool) -> None:
    """Train the embedded pool's specialists; an interrupted run continues where it stopped."""
    base = ensure_base_model(cache, click.echo)
    for name in only or TASKS:
        if is_finished(out / name) and not force:
            click.echo(f"{name} is finished already (--force trains it again)")
            continue
        folder = train(TASKS[name], base, out, Recipe(steps=steps or STEPS[name]))
        click.echo(f"{name} is in {folder}")


if __name__ == "__main__":
    main()
