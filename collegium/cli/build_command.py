"""`collegium build`: compile the kernels of sparse experts."""

from __future__ import annotations

import click

from collegium.cli.output import warn


@click.command(epilog="Example: collegium build")
def command() -> None:
    """Compile the kernels of sparse experts now rather than when an engine first needs them.

    Without a compiler PyTorch computes instead, slower; that is no error.
    """
    from collegium.kernels.moe.build import CannotBuild, library

    try:
        click.echo(f"The kernels are in {library()}")
    except CannotBuild as exc:
        warn(f"the kernels are not built, PyTorch computes instead: {exc}")
