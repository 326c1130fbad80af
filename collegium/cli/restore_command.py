"""`collegium restore`: restore an archive's database and files into an empty data folder."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(epilog="Example: collegium restore collegium.tar")
@click.argument("archive", type=click.Path(dir_okay=False, path_type=Path))
def command(archive: Path) -> None:
    """Restore ARCHIVE into the data folder, which must not have a database."""
    from collegium.registry.storage import archive as archives
    from collegium.settings import load_settings

    settings = load_settings()
    found = archives.read(archive, settings.data_dir)
    click.echo(f"Restored to {settings.data_dir}: {', '.join(found) or 'nothing'}")
