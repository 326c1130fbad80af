"""`collegium bench gateway`: throughput and overhead, compared with other gateways."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from collegium.cli.numbers import FiniteRange
from collegium.cli.output import command_line, json_option, print_json, print_table

if TYPE_CHECKING:
    from collegium.evals.bench.gateway.ours import Option
    from collegium.evals.bench.gateway.run import GatewayBench, Speed, Spread


def numbers(_context: click.Context, option: click.Parameter, text: str) -> tuple[int, ...]:
    """Whole numbers from 1 on, between commas."""
    found = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in found):
        raise click.BadParameter(f"'{text}' is not a list of whole numbers such as 1,2")
    return tuple(dict.fromkeys(map(int, found)))


@click.command(epilog="Example: collegium bench gateway --quick")
@click.option(
    "--encoder",
    "encoders",
    type=click.Choice(["static", "minilm"]),
    multiple=True,
    help="Encoder for routing; repeatable. Default: both.",
)
@click.option("--peers/--no-peers", default=True, help="Also nginx, LiteLLM, vllm-router.")
@click.option(
    "--beside",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Another checkout of Collegium to measure in the same run.",
)
@click.option(
    "--with",
    "options",
    type=click.Choice(["key", "budget", "telemetry"]),
    multiple=True,
    help="Also Collegium with this: a key of the registry, a budget of it, telemetry. Repeatable.",
)
@click.option(
    "--workers",
    default="1",
    callback=numbers,
    help="Numbers of workers that the service is measured with, as `1,2`. Default: 1.",
)
@click.option(
    "--connections",
    default="16",
    callback=numbers,
    help="Numbers of connections, as `16,64`. Default: 16.",
)
@click.option("--rounds", type=click.IntRange(1, 100), default=3, help="Rounds over all gateways.")
@click.option("--seconds", type=FiniteRange(1, 600), default=5.0, help="Seconds per run.")
@click.option("--quick", is_flag=True, help="One round of two seconds, static encoder, no peers.")
@click.option(
    "--soak",
    type=click.IntRange(1000),
    help="Instead, send this many requests to the service alone and watch its memory.",
)
@click.option("--seed", default=0, help="Seed of the data.")
@json_option
def gateway(
    encoders: tuple[str, ...],
    peers: bool,
    beside: Path | None,
    options: tuple[Option, ...],
    workers: tuple[int, ...],
    connections: tuple[int, ...],
    rounds: int,
    seconds: float,
    quick: bool,
    soak: int | None,
    seed: int,
    as_json: bool,
) -> None:
    """Load-test the service with an instant upstream and a routing decision per request.

    Needs nginx and wrk. The other gateways are installed once, in separate environments in the
    cache folder and run one process each; so does the service, unless --workers says otherwise.
    Processor times per request show what a machine with more cores would do.
    """
    from collegium.evals.bench.gateway.run import bench_gateway
    from collegium.settings import load_settings

    if soak is not None:
        return _soak(soak, encoders[0] if encoders else "static", seed, as_json=as_json)
    if quick:
        encoders, peers, rounds, seconds = encoders or ("static",), False, 1, 2.0
    encoders = encoders or ("static", "minilm")
    report = bench_gateway(
        encoders=encoders,
        with_peers=peers,
        rounds=rounds,
        seconds=seconds,
        seed=seed,
        cache=load_settings().cache_dir,
        command=command_line(),
        beside=beside,
        options=options,
        workers=workers,
        connections=connections,
    )
    if as_json:
        return print_json(asdict(report))
    _show(report)


def _soak(requests: int, encoder: str, seed: int, *, as_json: bool) -> None:
    from collegium.evals.bench.gateway.soak import soak_gateway

    found = soak_gateway(requests, encoder=encoder, seed=seed, command=command_line())
    if as_json:
        return print_json(found.to_dict())
    rows = [
        (f"{m.requests:,}", f"{m.memory_mib:.0f} MiB", m.open_files, f"{m.database_mib:.0f} MiB")
        for m in found.moments
    ]
    print_table(("REQUESTS", "MEMORY", "OPEN FILES", "DATABASE"), rows)
    word = "flat" if found.flat else "NOT flat"
    click.echo(f"\n{word}: {found.growth:+.1%} after the first tenth, {found.failed} failed")


def _show(report: GatewayBench) -> None:
    latencies = ("OVERHEAD P50", "P99", "PACED P50", "P99")
    costs = ("PROCESSOR", "UPSTREAM'S", "WRK'S", "MEMORY", "FAILED")
    rows = [
        (mode, name, *_cells(speed))
        for mode, found in report.modes.items()
        for name, speed in found.items()
    ]
    print_table(("MODE", "GATEWAY", "REQUESTS/S", "ROUNDS", *latencies, *costs), rows)
    for mode, found in report.modes.items():
        for name, speed in found.items():
            for other, times in speed.times.items():
                spread = f"{times.median:.2f} times (from {times.low:.2f} to {times.high:.2f})"
                click.echo(f"{mode}: {name} answers {spread} as many as {other}")
    for name, why in report.left_out.items():
        click.echo(f"Left out: {name}: {why}", err=True)


def _cells(speed: Speed) -> tuple[str, ...]:
    rate = speed.per_second
    return (
        f"{rate.median:.0f}",
        f"{rate.low:.0f}-{rate.high:.0f}",
        _ms(speed.busy_p50_ms),
        _ms(speed.busy_p99_ms),
        _ms(speed.paced_p50_ms),
        _ms(speed.paced_p99_ms),
        _ms(speed.processor_ms),
        _ms(speed.upstream_ms),
        _ms(speed.wrk_ms),
        f"{speed.memory_mib:.0f} MiB",
        f"{speed.failed}",
    )


def _ms(spread: Spread) -> str:
    return f"{spread.median:.2f} ms"
