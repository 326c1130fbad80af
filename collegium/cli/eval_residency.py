"""`collegium eval residency`: which engines to keep loaded, simulated on a recorded trace."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from collegium.cli.numbers import FiniteRange
from collegium.cli.output import command_line, json_option, print_json, print_table

if TYPE_CHECKING:
    from collegium.evals.studies.residency.study import ResidencyReport

TRACE = "azure_llm_2023_code"


@click.command(epilog="Example: collegium eval residency mmlupro28 --html residency.html")
@click.argument("dataset", default="mmlupro28")
@click.option("--trace", default=TRACE, help="Trace with the arrivals: a file in DATA/traces.")
@click.option("--every", type=click.IntRange(1), default=1, help="Use every Nth request.")
@click.option("--experts", type=click.IntRange(2, 100), default=10, help="Experts in the pool.")
@click.option("--fit", type=click.IntRange(1, 100), default=3, help="Experts that fit at once.")
@click.option("--load-s", type=FiniteRange(0), default=40.0, help="Seconds to load.")
@click.option("--unload-s", type=FiniteRange(0), default=2.0, help="Seconds to unload.")
@click.option(
    "--patience-s",
    type=FiniteRange(0),
    default=600.0,
    help="Longest wait for a load to begin.",
)
@click.option(
    "--wait-penalty",
    type=FiniteRange(0, 1),
    default=0.02,
    help="P(correct) that a one-minute wait is worth.",
)
@click.option("--data", type=click.Path(path_type=Path), help="Folder of the data sets.")
@click.option("--html", type=click.Path(path_type=Path), help="Write a page with the timeline.")
@click.option("--seed", default=0, help="Seed of prompts and times.")
@json_option
def residency(
    dataset: str,
    trace: str,
    every: int,
    experts: int,
    fit: int,
    load_s: float,
    unload_s: float,
    patience_s: float,
    wait_penalty: float,
    data: Path | None,
    html: Path | None,
    seed: int,
    as_json: bool,
) -> None:
    """Compare residency policies: the live scheduler's code on a simulated device.

    Deterministic, needs no service. Waiting is the time until an answer begins.
    """
    from collegium.evals.core.data import data_root
    from collegium.evals.studies.residency.page import residency_page
    from collegium.evals.studies.residency.study import Device, compare, read_trace, requests
    from collegium.evals.studies.residency.world import EMBEDDED_PACE
    from collegium.router.encoder import make_encoder

    root = data_root(data)
    came = read_trace(root / "traces", trace, every)
    arrivals = requests(root / dataset, came, make_encoder("static"), experts=experts, seed=seed)
    report, runs = compare(
        arrivals,
        Device(fit, load_s, unload_s, EMBEDDED_PACE),
        data=dataset,
        trace=trace,
        command=command_line(),
        seed=seed,
        patience_s=patience_s,
        wait_penalty=wait_penalty,
    )
    if html is not None:
        html.write_text(residency_page(report, runs))
        click.echo(f"Wrote {html}", err=True)
    if as_json:
        return print_json(asdict(report))
    _show(report)


def _show(report: ResidencyReport) -> None:
    from collegium.evals.studies.residency.page import HEAD, cells

    print_table(tuple(map(str.upper, HEAD)), [cells(report, o.policy) for o in report.outcomes])
    click.echo()
    _show_forecasts(report)
    click.echo(f"\nNo policy has a 95th percentile below {report.bound_p95_s:.0f} s here.")


def _show_forecasts(report: ResidencyReport) -> None:
    """Show the accuracy of the forecast waits for engines that were not loaded."""
    told = [(o.policy, f) for o in report.outcomes if (f := o.foretold) is not None]
    rows = []
    for policy, f in told:
        seconds = (f.median_wait_s, f.median_error_s, f.mean_error_s, f.bias_s)
        rows.append((policy, str(f.requests), *(f"{s:.1f}" for s in seconds), f"{f.kept:.0%}"))
    head = ("FORECAST OF", "WAITED", "MEDIAN WAIT", "MEDIAN ERROR", "MEAN ERROR", "BIAS", "KEPT")
    print_table(head, rows)
