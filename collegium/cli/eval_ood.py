"""`collegium eval ood`: detection of out-of-scope queries, on CLINC150."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from collegium.cli.output import json_option, print_json, print_table

SET = "clinc150"


@click.command(epilog="Example: collegium eval ood --json")
@click.option("--data", type=click.Path(path_type=Path), help="Folder of CLINC150.")
@json_option
def ood(data: Path | None, as_json: bool) -> None:
    """Fit an intent classifier and an OOD score, and evaluate both on unseen queries.

    Needs no service. Rejected in-scope queries count as wrong.
    """
    from collegium.evals.core.data import data_root
    from collegium.evals.core.progress import progress_bar
    from collegium.evals.routing.embeddings import CachedEncoder, EmbeddingCache
    from collegium.evals.routing.encoders import encoder
    from collegium.evals.studies.ood.study import STEPS, load_clinc, measure
    from collegium.settings import load_settings

    settings, splits = load_settings(), load_clinc(data or data_root() / SET)
    cached = CachedEncoder(encoder(settings.encoder), EmbeddingCache(settings.cache_dir))
    texts = [text for queries in splits.values() for text in queries.texts]
    cached.encode(texts)  # the long part, with its bar
    with progress_bar(STEPS, "Fitting and judging") as bar:
        report = measure(splits, cached, tick=lambda: bar.update(1))
    if as_json:
        return print_json(asdict(report))
    click.echo(
        f"{report.in_scope} in-scope and {report.out_of_scope} out-of-scope queries, of "
        f"{report.judged_on}.\nAUROC {report.auroc:.3f}. At the threshold: in-scope accuracy "
        f"{report.in_scope_accuracy:.1%} (rejected ones are wrong), out-of-scope recall "
        f"{report.oos_recall:.1%}. Without rejecting: {report.classifier_accuracy:.1%}.\n"
    )
    print_table(("SCORE", "AUROC"), [(n, f"{a:.4f}") for n, a in report.auroc_of.items()])
    rows = [(f"{float(r):.0%}", f"{a:.1%}") for r, a in report.accuracy_at_recall.items()]
    click.echo()
    print_table(("AT RECALL", "IN-SCOPE ACCURACY"), rows)
