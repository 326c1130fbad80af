"""`collegium eval residency`: which engines to keep loaded, simulated on a recorded trace."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from collegium.cli.output import json_option, print_table

if TYPE_CHECKING:
    from collegium.evals.residency import ResidencyReport

TRACE = "azure_llm_2023_code"


@click.command(epilog="Example: collegium eval residency mmlupro28 --html residency.html")
@click.argument("dataset", default="mmlupro28")
@click.option("--trace", default=TRACE, help="A file of DATA/traces: whose arrivals.")
@click.option("--every", type=click.IntRange(1), default=1, help="Take each so many-th request.")
@click.option("--experts", type=click.IntRange(2, 100), default=10, help="Experts in the pool.")
@click.option("--fit", type=click.IntRange(1, 100), default=3, help="Experts that fit at once.")
@click.option("--load-s", type=click.FloatRange(0), default=40.0, help="Seconds of a load.")
@click.option("--unload-s", type=click.FloatRange(0), default=2.0, help="Seconds of an unload.")
@click.option(
    "--patience-s",
    type=click.FloatRange(0),
    default=600.0,
    help="Longest wait for a load to begin.",
)
@click.option(
    "--wait-penalty",
    type=click.FloatRange(0, 1),
    default=0.02,
    help="Chance of being right that a minute's wait is worth, where the router is aware.",
)
@click.option("--data", type=click.Path(path_type=Path), help="Folder of the shared data sets.")
@click.option("--html", type=click.Path(path_type=Path), help="Write a page with the timeline.")
@click.option("--seed", default=0, help="Which prompts are asked, and when.")
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
    from collegium.evals.data import data_root
    from collegium.evals.residency import Device, compare, read_trace, requests
    from collegium.evals.residency_page import residency_page
    from collegium.evals.residency_world import EMBEDDED_PACE
    from collegium.router.encoder import make_encoder

    root = data_root(data)
    came = read_trace(root / "traces", trace, every)
    arrivals = requests(root / dataset, came, make_encoder("static"), experts=experts, seed=seed)
    again = (
        f"collegium eval residency {dataset} --trace {trace} --every {every} --experts {experts} "
        f"--fit {fit} --load-s {load_s:g} --unload-s {unload_s:g} --patience-s {patience_s:g} "
        f"--wait-penalty {wait_penalty:g} "
        f"--seed {seed}"
    )
    report, runs = compare(
        arrivals,
        Device(fit, load_s, unload_s, EMBEDDED_PACE),
        data=dataset,
        trace=trace,
        command=again,
        seed=seed,
        patience_s=patience_s,
        wait_penalty=wait_penalty,
    )
    if html is not None:
        html.write_text(residency_page(report, runs))
        click.echo(f"Wrote {html}", err=True)
    click.echo(report.to_json(), nl=False) if as_json else _show(report)


def _show(report: ResidencyReport) -> None:
    from collegium.evals.residency_page import HEAD, cells

    print_table(tuple(map(str.upper, HEAD)), [cells(report, o.policy) for o in report.outcomes])
    click.echo()
    _show_forecasts(report)
    click.echo(f"\nNo policy has a 95th percentile below {report.bound_p95_s:.0f} s here.\n")
    rows = [
        (what, f"{limit:.2f}", f"{found:.2f}", "yes" if found <= limit else "NO")
        for what, limit, found in report.goals()
    ]
    print_table(("GOAL", "AT MOST", "FOUND", "MET"), rows)


def _show_forecasts(report: ResidencyReport) -> None:
    """How well the waits for engines that were not loaded were forecast."""
    told = [(o.policy, f) for o in report.outcomes if (f := o.foretold) is not None]
    rows = []
    for policy, f in told:
        seconds = (f.median_wait_s, f.median_error_s, f.mean_error_s, f.bias_s)
        rows.append((policy, str(f.requests), *(f"{s:.1f}" for s in seconds), f"{f.kept:.0%}"))
    head = ("FORECAST OF", "WAITED", "MEDIAN WAIT", "MEDIAN ERROR", "MEAN ERROR", "BIAS", "KEPT")
    print_table(head, rows)
