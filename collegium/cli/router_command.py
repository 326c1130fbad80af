"""`collegium router …`: train, judge, calibrate and explain the router."""

import click

from collegium.cli.router_calibrate import calibrate
from collegium.cli.router_eval import evaluate
from collegium.cli.router_explain import explain
from collegium.cli.router_train import train


@click.group(epilog='Example: collegium router explain "Write 4 July 1998 as YYYY-MM-DD."')
def command() -> None:
    """Train, judge, calibrate and explain the router."""


for part in (train, evaluate, calibrate, explain):
    command.add_command(part)
