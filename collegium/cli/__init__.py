"""The `collegium` command. Each subcommand's module is imported only when it is used."""

from __future__ import annotations

import importlib
import sys

import click

from collegium import __version__
from collegium.errors import CollegiumError, ExtraMissing
from collegium.extras import extra_of
from collegium.redaction import lines

COMMANDS = {
    "alarms": "List and close alarms.",
    "application": "See, name, merge and split applications, and set their policies.",
    "backup": "Copy the database and files of a service into one archive.",
    "batch": "Run bulk jobs, batched by expert.",
    "bench": "Time parts of Collegium on this machine.",
    "budget": "Set, list and remove limits of keys, teams and applications.",
    "build": "Compile the kernels of sparse experts.",
    "cache": "Show and clear the response cache.",
    "chat": "Chat with the pool in the terminal.",
    "doctor": "Check this machine and report what is missing.",
    "eval": "Measure experts and routing.",
    "expert": "Register, show and change experts.",
    "import": "Register the experts of another gateway's configuration.",
    "key": "Create, list, change, rotate and revoke keys.",
    "learn": "Replay prompts to experts, mark the answers, and fit a router to them.",
    "pool": "Plan where the models of a pool run.",
    "restore": "Restore an archive into an empty data folder.",
    "router": "Train, evaluate, explain and promote routers.",
    "serve": "Start the service and its engines.",
    "team": "Create, list, show, change and remove teams of keys.",
    "train": "Train the specialists and the sparse mixture, or make sparse models smaller.",
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
        code = cli.main(standalone_mode=False)  # not 0 where a command called `Context.exit`
    except CollegiumError as exc:
        _fail(exc.whole)
    except ModuleNotFoundError as exc:
        if (extra := extra_of(exc.name or "")) is None:
            raise
        _fail(ExtraMissing("this command", [str(exc.name)], extra.command).whole)
    except OSError as exc:  # a file that can't be read or written, a folder that is none
        _fail(f"{exc.filename or 'a file'}: {exc.strerror or exc}")
    except click.ClickException as exc:
        exc.show()
        sys.exit(exc.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    if code:
        sys.exit(code)


def _fail(message: str) -> None:
    click.echo(f"collegium: {lines(message)}", err=True)
    sys.exit(1)
