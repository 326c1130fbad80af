"""`collegium backup`: the database and files of a service in one archive."""

from __future__ import annotations

from pathlib import Path

import click

from collegium.cli.output import warn


@click.command(epilog="Example: collegium backup collegium.tar")
@click.argument("archive", type=click.Path(exists=False, dir_okay=False, path_type=Path))
def command(archive: Path) -> None:
    """Copy the data folder into ARCHIVE. The service may be running.

    A PostgreSQL database is left out: pg_dump copies it.
    """
    from collegium.errors import SetupError
    from collegium.registry.storage import archive as archives
    from collegium.registry.storage.connections import in_file, parse_url
    from collegium.settings import load_settings

    if archive.exists():
        raise SetupError(f"{archive} already exists: name another file")
    settings = load_settings()
    url = parse_url(settings.registry_url)
    database = None
    if url.get_backend_name() == "sqlite" and in_file(url):
        database = Path(url.database or "")
    else:
        warn("the database is not in the archive: copy it with pg_dump")
    written = archives.write(archive, settings.data_dir, database)
    click.echo(f"{archive} has {', '.join(written) or 'nothing'}")
