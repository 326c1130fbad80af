"""Train the sparse mixture's gates: python -m collegium.experts.sparse (make specialists)."""

from pathlib import Path

import click

from collegium.experts.embedded import ensure_base_model
from collegium.experts.sparse import WEIGHTS
from collegium.experts.sparse.training import Recipe, train

DEFAULT_CACHE = Path("~/.cache/collegium").expanduser()


@click.command(epilog="Example: python -m collegium.experts.sparse --out runs/sparse")
@click.option("--steps", type=click.IntRange(min=1), help="Steps instead of the recipe's.")
@click.option("--out", type=click.Path(path_type=Path), default=WEIGHTS, help="Weights' folder.")
@click.option("--cache", type=click.Path(path_type=Path), default=DEFAULT_CACHE, show_default=True)
def main(steps: int | None, out: Path, cache: Path) -> None:
    """Train the gates over the specialists; an interrupted run continues where it stopped."""
    import torch

    # Softmax's backward pass takes 15 to 20 times longer where probabilities are subnormal. It is
    # set here, for it is of the whole process.
    torch.set_flush_denormal(True)
    base = ensure_base_model(cache, click.echo)
    recipe = Recipe() if steps is None else Recipe(steps=steps)
    click.echo(f"The gates are in {train(base, out, recipe)}")


if __name__ == "__main__":
    main()
