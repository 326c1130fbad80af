"""`collegium eval …`: evaluate the live pool, and routers on recorded outcomes."""

from __future__ import annotations

import click

from collegium.cli.eval_adoption import adoption
from collegium.cli.eval_newcomers import newcomers
from collegium.cli.eval_online import online
from collegium.cli.eval_ood import ood
from collegium.cli.eval_panels import panels
from collegium.cli.eval_pool import pool
from collegium.cli.eval_residency import residency
from collegium.cli.eval_routing import routing
from collegium.cli.eval_sparse import sparse


@click.group(epilog="Example: collegium eval pool --html report.html")
def command() -> None:
    """Measure experts and routing."""


for measured in (pool, routing, adoption, newcomers, online, ood, panels, residency, sparse):
    command.add_command(measured)
