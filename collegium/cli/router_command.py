"""`collegium router …`: train, evaluate, calibrate, explain and promote routers."""

import click

from collegium.cli.router_calibrate import calibrate
from collegium.cli.router_eval import evaluate
from collegium.cli.router_explain import explain
from collegium.cli.router_train import train
from collegium.cli.router_versions import candidates, promote, rollback, shadow


@click.group(epilog='Example: collegium router explain "Write 4 July 1998 as YYYY-MM-DD."')
def command() -> None:
    """Train, evaluate, explain and promote routers."""


for part in (train, evaluate, calibrate, explain, candidates, shadow, promote, rollback):
    command.add_command(part)
