"""`collegium serve`: run the service, and show what it is waiting for."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import uvicorn

    from collegium.settings import Settings
    from collegium.web.serving.service import Service


@click.command(epilog="Example: collegium serve --port 8080")
@click.option("--host", help="Address to listen on (setting `host`).")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on (setting `port`).")
@click.option(
    "--embedded/--no-embedded", default=None, help="Start the embedded pool on vLLM, or not."
)
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    help="Processes that answer requests (setting `workers`).",
)
@click.option(
    "--ray",
    "ray_address",
    metavar="ADDRESS",
    help="Run the engines on a Ray cluster: HOST:PORT of its head, or auto (setting "
    "`ray_address`).",
)
def command(**given: Any) -> None:
    """Start the service and its engines; print the address when it is ready."""
    from collegium.settings import load_settings

    settings = load_settings(**{k: v for k, v in given.items() if v is not None})
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    from collegium.cli import serving
    from collegium.private_files import close_to_others
    from collegium.web.app import create_app

    serving.give_back_large_blocks()
    serving.log_to_stderr(settings.log_format)
    serving.refuse_if_open(settings)
    close_to_others(settings.data_dir)
    listener = serving.listen(settings.host, settings.port)
    host, port = listener.getsockname()[:2]
    serving.warn_of_extensions()
    if settings.workers > 1:
        from collegium.cli.owner import Owner

        owner = Owner(settings, listener)
        service, server = owner.service, serving.make_server(owner.app, settings)
        served = owner.serve(server)
    else:
        app = create_app(settings)
        service, server = app.state.service, serving.make_server(app, settings)
        drain_s = settings.drain_timeout_s
        served = serving.serve(server, [listener], service.parts.draining, drain_s)
    await service.parts.database.migrate()  # a wrong address fails here, in one line
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}/"
    quiet = settings.log_format == "json"  # what is read by programs has no display
    shown = asyncio.create_task(_show_progress(service, server, url, quiet=quiet))
    try:
        await served
    finally:
        shown.cancel()


async def _show_progress(
    service: Service, server: uvicorn.Server, url: str, *, quiet: bool
) -> None:
    """Say what the service waits for, on one line that moves, until it can answer.

    Only the address, on standard output, where it is to be `quiet`.
    """
    started, last, live = time.monotonic(), "", sys.stderr.isatty()
    while not server.should_exit:
        waiting = service.waits_for()
        if waiting is None and server.started:
            break
        line = waiting or "starting"
        if not quiet and (line != last or live):
            seconds = f"{time.monotonic() - started:4.0f} s"
            start, end = ("\r\x1b[K", "") if live else ("", "\n")
            click.echo(f"{start}{seconds}  {line}{end}", nl=False, err=True)
        last = line
        await asyncio.sleep(0.5)
    else:
        return
    took = time.monotonic() - started
    if not quiet:
        ahead = "\n" if live else ""
        click.echo(f"{ahead}Collegium is ready after {took:.0f} s: {url}", err=True)
    click.echo(url)
