"""`collegium router calibrate`: the trade-off for a target, and what is cheap yet good enough."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from collegium.cli.output import json_option, print_json, print_table

if TYPE_CHECKING:
    from collegium.router.calibrating import HeldFloor, Hit, Traffic
    from collegium.router.tradeoff import Curve, Measure, Sample

DATA_SET = click.Path(path_type=Path, file_okay=False)


@dataclass(frozen=True)
class Calibrated:
    """What came out."""

    queries: int
    judged_on: int
    curve: Curve
    hits: tuple[Hit, ...]
    floor: HeldFloor | None


@click.command(epilog="Example: collegium router calibrate ../shared/data/routerbench3 --json")
@click.argument("dataset", type=DATA_SET, required=False)
@click.option("--target", "targets", multiple=True, help="As share=0.3, cost=0.01, quality=0.95.")
@click.option("--price", "prices", multiple=True, help="As MODEL=DOLLARS a million tokens.")
@click.option("--guarantee", type=click.FloatRange(0.01, 0.999), help="Share of queries, as 0.9.")
@click.option("--within", type=click.FloatRange(0, 1), default=0.05, help="Of the best's quality.")
@click.option("--seed", default=0, help="Which queries are held out.")
@click.option("--router-dir", type=DATA_SET, help="Calibrate this saved router on the data set.")
@click.option("--out", type=DATA_SET, help="Write the router there, calibrated.")
@json_option
def calibrate(dataset: Path | None, out: Path | None, as_json: bool, **options: Any) -> None:
    """Find the trade-off for a share of dear answers, a mean cost or a quality.

    Without a data set it reads the registry's recorded decisions, which tell what is expected: a
    quality is then the forecasts' own. With one and --router-dir, that router is calibrated on
    three quarters of the queries that it was not fitted on and judged on the rest. With a data set
    alone, forecasts are fitted to three eighths of its queries and calibrated on as many: that
    says what is to be expected of such a set, and there is no router for --out to write.
    """
    if dataset is None and options["router_dir"] is not None:
        raise click.UsageError("--router-dir is calibrated on a data set: name one")
    if out is not None and dataset is not None and options["router_dir"] is None:
        raise click.UsageError("--out needs a router: name one with --router-dir")
    if dataset is None:
        found = asyncio.run(
            _on_decisions(targets=options["targets"], guarantee=options["guarantee"])
        )
    else:
        found = _on_data_set(dataset, **options)
    card = _card(found)
    if out is not None:
        _write(out, card, options["router_dir"])
    if as_json:
        return print_json({**_json(found), **card, "out": None if out is None else str(out)})
    _show(found, card)


def _on_data_set(
    folder: Path,
    *,
    targets: tuple[str, ...],
    prices: tuple[str, ...],
    guarantee: float | None,
    within: float,
    seed: int,
    router_dir: Path | None,
) -> Calibrated:
    from collegium.router.calibrating import calibrated_on, held_floor, hits, samples

    traffic = _traffic(folder, prices, seed, router_dir)
    learn, judge = samples(traffic)
    curve = calibrated_on(learn)
    floor = None
    if guarantee is not None:
        floor = held_floor(traffic, guarantee=guarantee, within=within)
    wanted, queries = [_target(text) for text in targets], len(learn.quality)
    found = hits(curve, judge, wanted, calibration_queries=queries)
    return Calibrated(queries, len(judge.quality), curve, found, floor)


def _traffic(folder: Path, prices: tuple[str, ...], seed: int, router_dir: Path | None) -> Traffic:
    import numpy as np

    from collegium.evals.data import load_set
    from collegium.evals.routing.embeddings import EmbeddingCache
    from collegium.evals.routing.encoders import encoder, fitted_on
    from collegium.evals.routing.saved import known_models, new_to, saved_forecasts
    from collegium.evals.spending import by_chance, held_out, spent
    from collegium.router.artifact import load
    from collegium.router.calibrating import Traffic
    from collegium.settings import load_settings

    settings, data = load_settings(), load_set(folder)
    costs = spent(data, folder, dict(_pair(price) for price in prices))
    cache = EmbeddingCache(settings.cache_dir)
    if router_dir is None:
        X = cache.encode(encoder(settings.encoder), data.prompts)
        return Traffic(X, data.scores.astype(np.float64), costs, held_out(data, seed))
    fitted = load(router_dir)
    models = known_models(fitted, data.models, data.name)
    columns = [data.models.index(model) for model in models]
    new = new_to(fitted, data.prompts)
    X = cache.encode(fitted_on(fitted.encoder), data.prompts)[new]
    scores, costs = data.scores[new][:, columns], costs[new][:, columns]
    forecast = saved_forecasts(fitted, models, X)
    judged = by_chance(len(X), seed)
    return Traffic(X, scores.astype(np.float64), costs, judged, forecast)


async def _on_decisions(*, targets: tuple[str, ...], guarantee: float | None) -> Calibrated:
    from collegium.registry.database import Database
    from collegium.registry.decisions import DecisionLog
    from collegium.router.calibrating import calibrated_on, hits
    from collegium.settings import load_settings

    if guarantee is not None:
        raise click.UsageError("--guarantee needs a data set: decisions do not tell who was right")
    database = Database(load_settings().registry_url)
    try:
        await database.migrate()
        sample = _recorded(await DecisionLog(database).recent(100_000))
    finally:
        await database.close()
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
    from collegium.router.calibrating import calibrated_card

    return calibrated_card(found.curve, found.floor.floor if found.floor else None)


def _write(out: Path, card: dict[str, Any], router_dir: Path | None) -> None:
    """The named or the served router with a calibrated card."""
    from dataclasses import replace

    from collegium.router.artifact import BUNDLED, load, save
    from collegium.settings import load_settings

    fitted = load(router_dir or load_settings().router_dir or BUNDLED)
    save(replace(fitted, card={**fitted.card, **card}), out)
    click.echo(f"Wrote {out}; serve with COLLEGIUM_ROUTER_DIR={out}", err=True)


def _json(found: Calibrated) -> dict[str, Any]:
    return {
        "queries": found.queries,
        "held_out_queries": found.judged_on,
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
