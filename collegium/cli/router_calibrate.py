"""`collegium router calibrate`: the trade-off that reaches a target, and guarantees for it."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from collegium.cli.model_names import map_option, model_names
from collegium.cli.numbers import FiniteRange
from collegium.cli.output import json_option, print_json, print_table, warn, warn_dropped

if TYPE_CHECKING:
    from collegium.evals.training.calibrating import HeldFloor, Hit
    from collegium.router.tradeoff import Curve, Measure, Sample

FOLDER = click.Path(path_type=Path, file_okay=False)


@dataclass(frozen=True)
class Calibrated:
    """The result."""

    queries: int
    judged_on: int
    curve: Curve
    hits: tuple[Hit, ...]
    floor: HeldFloor | None
    dropped: int = 0
    unmatched: tuple[str, ...] = ()
    """Models of the set that the router doesn't know."""


@click.command(epilog="Example: collegium router calibrate routerbench3 --json")
@click.argument("dataset", metavar="[DATASET]", required=False)
@click.option("--target", "targets", multiple=True, help="As share=0.3, cost=0.01, quality=0.95.")
@click.option("--price", "prices", multiple=True, help="MODEL=DOLLARS per million tokens.")
@click.option("--guarantee", type=FiniteRange(0.01, 0.999), help="Share of queries, such as 0.9.")
@click.option("--within", type=FiniteRange(0, 1), default=0.05, help="Of the best quality.")
@click.option("--train", metavar="DATASET", help="Calibrate on all of this set.")
@click.option("--test", metavar="DATASET", help="Evaluate on all of this set.")
@click.option("--seed", default=0, help="Seed of the split.")
@click.option("--data", type=FOLDER, help="Folder of the data sets.")
@click.option("--router-dir", type=FOLDER, help="Calibrate this saved router on the data set.")
@map_option
@click.option("--out", type=FOLDER, help="Folder for the calibrated router.")
@json_option
def calibrate(dataset: str | None, out: Path | None, as_json: bool, **options: Any) -> None:
    """Find the trade-off for a share of expensive answers, a mean cost or a quality.

    Without a data set, it uses the registry's recorded decisions, and quality is as forecast. With
    a data set (a folder, or the name of a set in the data folder) and --router-dir, that router is
    calibrated on three quarters of the queries that it was not fitted on and evaluated on the rest.
    With a data set alone, forecasts are fitted to three eighths of its queries, calibrated on three
    eighths and evaluated on the rest; --out then has no router to write. With --train and --test,
    two sets replace the parts.
    """
    sets = _sets(dataset, options.pop("train"), options.pop("test"))
    if not sets and options["router_dir"] is not None:
        raise click.UsageError("--router-dir is calibrated on a data set: name one")
    if options["mapped"] and options["router_dir"] is None:
        raise click.UsageError("--map names a router's experts: add --router-dir")
    if out is not None and sets and options["router_dir"] is None:
        raise click.UsageError("--out needs a router: name one with --router-dir")
    if not sets:
        found = asyncio.run(
            _on_decisions(targets=options["targets"], guarantee=options["guarantee"])
        )
    else:
        found = _on_data_set(sets, **options)
    card = _card(found)
    if out is not None:
        _write(out, card, options["router_dir"])
    if as_json:
        return print_json({**_json(found), **card, "out": None if out is None else str(out)})
    _show(found, card)


def _sets(dataset: str | None, train: str | None, test: str | None) -> tuple[str, ...]:
    """The one set that a person named, or the two, or none."""
    if (train is None) != (test is None):
        raise click.UsageError("--train and --test belong together: name both sets")
    if train is None or test is None:
        return () if dataset is None else (dataset,)
    if dataset is not None:
        raise click.UsageError("name a data set or --train and --test, not both")
    return train, test


def _on_data_set(
    sets: tuple[str, ...],
    *,
    targets: tuple[str, ...],
    prices: tuple[str, ...],
    guarantee: float | None,
    within: float,
    seed: int,
    data: Path | None,
    router_dir: Path | None,
    mapped: tuple[str, ...],
) -> Calibrated:
    from collegium.evals.routing.sources import set_folder
    from collegium.evals.training.calibrating import calibrated_on, held_floor, hits, samples
    from collegium.evals.training.traffic import fitted_traffic, plain_traffic, recorded_queries
    from collegium.router.artifact import load
    from collegium.settings import load_settings

    settings, known = load_settings(), dict(_pair(price) for price in prices)
    found = recorded_queries([set_folder(name, data) for name in sets], known, seed=seed)
    unmatched: tuple[str, ...] = ()
    if router_dir is None:
        traffic = plain_traffic(found, settings)
    else:
        names = model_names(settings, mapped)
        names.check_given(found.data.models)
        found, traffic, unmatched = fitted_traffic(found, load(router_dir), names, settings, seed)
    warn_dropped(found.data.name, found.dropped)
    if unmatched:
        warn(f"models that the router does not know: {', '.join(unmatched)}.")
    learn, judge = samples(traffic)
    curve = calibrated_on(learn)
    floor = None
    if guarantee is not None:
        floor = held_floor(traffic, guarantee=guarantee, within=within)
    wanted, queries = [_target(text) for text in targets], len(learn.quality)
    reached = hits(curve, judge, wanted, calibration_queries=queries)
    judged_on = len(judge.quality)
    return Calibrated(queries, judged_on, curve, reached, floor, found.dropped, unmatched)


async def _on_decisions(*, targets: tuple[str, ...], guarantee: float | None) -> Calibrated:
    from collegium.cli.service_client import open_database
    from collegium.evals.training.calibrating import calibrated_on, hits
    from collegium.registry.decisions.log import DecisionLog

    if guarantee is not None:
        raise click.UsageError("--guarantee needs a data set: decisions do not tell who was right")
    async with open_database() as database:
        sample = _recorded(await DecisionLog(database).recent(100_000))
    curve = calibrated_on(sample)
    wanted, queries = [_target(text) for text in targets], len(sample.quality)
    found = hits(curve, sample, wanted, calibration_queries=queries)
    return Calibrated(queries, 0, curve, found, None)


def _recorded(log: Any) -> Sample:
    """The decisions that forecast every expert of the latest one."""
    import numpy as np

    from collegium.router.tradeoff import Sample

    rows: list[dict[str, Any]] = []
    for entry in log:
        by_name = {f["expert"]: f for f in entry.decision.forecasts if f["quality"] is not None}
        if by_name and (not rows or set(by_name) == set(rows[0])):
            rows.append(by_name)
    names = sorted(rows[0]) if rows else []
    return Sample(
        np.array([[row[name]["quality"] for name in names] for row in rows], dtype=np.float64),
        np.array([[row[name]["cost_usd"] for name in names] for row in rows], dtype=np.float64),
    )


def _target(text: str) -> tuple[Measure, float]:
    from collegium.router.tradeoff import MEASURES

    name, value = _pair(text)
    for measure in MEASURES:
        if measure == name:
            return measure, value
    raise click.UsageError(f"--target {text}: expected one of {', '.join(MEASURES)}, as share=0.3")


def _pair(text: str) -> tuple[str, float]:
    name, _, value = text.rpartition("=")
    try:
        return name, float(value)
    except ValueError as exc:
        raise click.UsageError(f"{text}: expected NAME=NUMBER") from exc


def _card(found: Calibrated) -> dict[str, Any]:
    from collegium.evals.training.calibrating import calibrated_card

    return calibrated_card(found.curve, found.floor.floor if found.floor else None)


def _write(out: Path, card: dict[str, Any], router_dir: Path | None) -> None:
    """The named or the served router with a calibrated card."""
    from dataclasses import replace

    from collegium.router.artifact import folder_of, load, save
    from collegium.settings import load_settings

    fitted = load(router_dir or folder_of(load_settings()))
    save(replace(fitted, card={**fitted.card, **card}), out)
    click.echo(f"Wrote {out}; serve with COLLEGIUM_ROUTER_DIR={out}", err=True)


def _json(found: Calibrated) -> dict[str, Any]:
    return {
        "queries": found.queries,
        "held_out_queries": found.judged_on,
        "dropped_prompts": found.dropped,
        "unmatched": list(found.unmatched),
        "targets": [asdict(hit) for hit in found.hits],
        "held_out_floor": None if found.floor is None else asdict(found.floor),
    }


def _show(found: Calibrated, card: dict[str, Any]) -> None:
    outcome = "HELD OUT" if found.judged_on else "EXPECTED"
    header = ("TARGET", "TOLERANCE", "TRADE-OFF", outcome, "CHANCE ±")
    stops = card["tradeoff"]["tolerances"]
    print_table(header, [_row(hit, stops) for hit in found.hits])
    click.echo(f"\n{found.queries} queries calibrate, {found.judged_on} judge.")
    click.echo("Tolerances of the trade-offs 0 to 10: " + " ".join(f"{t:.3f}" for t in stops))
    if found.floor is not None:
        click.echo(_promise(found.floor))


def _row(hit: Hit, stops: list[float]) -> tuple[str, ...]:
    import numpy as np

    tradeoff = f"{np.interp(hit.tolerance, stops, range(len(stops))):.2f}"
    reachable = hit.tolerance >= 0
    return (
        f"{hit.measure} {hit.target:g}",
        f"{hit.tolerance:.4f}",
        tradeoff if reachable else "below 0",
        f"{hit.held_out:.4g}",
        f"{hit.chance:.2g}",
    )


def _promise(held: HeldFloor) -> str:
    floor = held.floor
    promise = f"within {floor.within:g} of the best on {floor.guarantee:.0%} of queries"
    if not floor.certified:
        return (
            f"No tolerance is certified to be {promise}: the best forecast is on "
            f"{floor.attained:.1%} at least ({floor.confidence:.0%} confidence), "
            f"held out on {held.held_out:.1%}."
        )
    return (
        f"Tolerance {floor.tolerance:.4f} is certified to be {promise} "
        f"({floor.confidence:.0%} confidence); held out: {held.held_out:.1%}, at a mean cost of "
        f"{held.cost:.4g} instead of {held.cost_of_best:.4g} for the best forecast."
    )
