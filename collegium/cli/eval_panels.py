"""`collegium eval panels`: which ways of combining recorded answers pay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from collegium.cli.numbers import FiniteRange
from collegium.cli.output import command_line, json_option, print_json, print_table
from collegium.cli.recorded_sets import recorded_options, recorded_sets


@click.command(epilog="Example: collegium eval panels routerbench3 --html panels.html")
@click.argument("dataset")
@click.option("--html", type=click.Path(path_type=Path), help="Write a page with the plot.")
@click.option("--save", type=click.Path(path_type=Path), help="Write panels.json to this folder.")
@click.option("--cascade-cost", type=FiniteRange(0), help="Fit a cascade to this mean cost.")
@recorded_options
@json_option
def panels(
    dataset: str,
    html: Path | None,
    save: Path | None,
    cascade_cost: float | None,
    as_json: bool,
    **recorded: Any,
) -> None:
    """Replay votes and cascades on recorded answers, and evaluate when they pay.

    DATASET needs the answers' text and cost. Modes that need new words (moa, best_of_n, …) can't
    be judged on recorded answers: see `collegium eval pool --aggregate`.
    """
    from tqdm import tqdm

    from collegium.evals.core.data import load_set
    from collegium.evals.core.provenance import provenance
    from collegium.evals.routing.sources import set_folder
    from collegium.evals.studies.panels.replay import read_responses
    from collegium.evals.studies.panels.study import study
    from collegium.evals.studies.panels.study_report import html_page, table, to_dict, verdict

    folder = set_folder(dataset, recorded["data"])
    source = load_set(folder)
    texts = read_responses(folder, source.prompt_ids, source.models)
    (data,) = recorded_sets([dataset], **recorded)

    def progress(name: str) -> Any:
        return lambda rows: tqdm(rows, desc=name, unit="query", mininterval=1.0, leave=False)

    report = study(data, texts, cascade_cost=cascade_cost, seed=recorded["seed"], progress=progress)
    made = provenance(command_line(), recorded["seed"], {"test": report.test})
    if save is not None:
        report.profiles.save(save)
        click.echo(f"Wrote {save / 'panels.json'}", err=True)
    if html is not None:
        html.write_text(html_page(report, made), encoding="utf-8")
        click.echo(f"Wrote {html}", err=True)
    if as_json:
        return print_json(to_dict(report, made))
    head, *rows = table(report)
    print_table([word.upper() for word in head], rows)
    click.echo(f"\n{verdict(report)}")
