"""Progress bars on standard error, if it is a terminal."""

import sys
from typing import Any

import click


def progress_bar(length: int, label: str) -> Any:
    """Return a bar to enter and to `update`; without a terminal only the label is printed."""
    return click.progressbar(
        length=length,
        label=label,
        file=sys.stderr,
        show_pos=True,
        item_show_func=lambda item: None if item is None else str(item),
        hidden=length == 0,
    )
