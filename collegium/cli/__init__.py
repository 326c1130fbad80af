"""The `collegium` command. Each subcommand's module is imported only when it is used."""

from __future__ import annotations

import importlib
import sys

import click

from collegium import __version__
from collegium.errors import CollegiumError

COMMANDS = {
    "alarms": "List and close alarms.",
    "application": "See, name, merge and split applications, and set their policies.",
    "backup": "Copy the database and files of a service into one archive.",
    "batch": "Answer many requests at once, batched by expert.",
    "bench": "Time parts of Collegium on this machine.",
    "chat": "Talk to the pool in the terminal.",
    "doctor": "Check this machine and say what is missing.",
    "eval": "Measure experts and routing.",
    "expert": "Register, show and change experts.",
    "learn": "Replay prompts to experts, mark the answers, and fit a router to them.",
    "restore": "Put an archive's database and files into an empty data folder.",
    "router": "Train, judge, explain and promote routers.",
    "serve": "Start the service and its engines.",
}
"""Each command with its help; it lives in the module `collegium.cli.<name>`."""


class LazyGroup(click.Group):
    """A group that imports a command when it is called: `--help` needs none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands' names."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import the command's module and return its `command`."""
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"collegium.cli.{name}_command")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))


@click.group(cls=LazyGroup, epilog="Example: collegium serve")
@click.version_option(__version__)
def cli() -> None:
    """One endpoint in front of many specialist LLMs."""


def main() -> None:
    """Run the command; our own errors are one line, not a traceback."""
    try:
        cli.main(standalone_mode=False)
    except CollegiumError as exc:
        _fail(exc.whole)
    except OSError as exc:  # a file that can't be read or written, a folder that is none
        _fail(f"{exc.filename or 'a file'}: {exc.strerror or exc}")
    except click.ClickException as exc:
        exc.show()
        sys.exit(exc.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)


def _fail(message: str) -> None:
    click.echo(f"collegium: {message}", err=True)
    sys.exit(1)
