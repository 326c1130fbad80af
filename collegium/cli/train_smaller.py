"""`collegium train prune` and `quantise`: smaller sparse models, evaluated before and after."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from collegium.cli.output import json_option
from collegium.experts.sparse import MEMBERS
from collegium.experts.specialists import SPECIALISTS

if TYPE_CHECKING:
    from collegium.evals.training.sparse.judging import Quality

COUNT = click.IntRange(min=1)
out_option = click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="Folder of the smaller model."
)


def mixture() -> Path:
    """The pool's mixture, composed in the cache if need be."""
    from collegium.experts.sparse.model import ensure_sparse_model
    from collegium.settings import load_settings

    return ensure_sparse_model(load_settings().cache_dir, lambda said: click.echo(said, err=True))


@click.command(epilog="Example: collegium train prune --task sql --keep 3 --out runs/sql-only")
@click.option("--task", required=True, type=click.Choice(sorted(SPECIALISTS)), help="Task to keep.")
@click.option(
    "--keep",
    type=click.IntRange(1, len(MEMBERS)),
    default=2,
    show_default=True,
    help="Experts to keep per layer.",
)
@click.option("--merge", is_flag=True, help="Merge the others into those that stay.")
@click.option("--demonstrations", type=COUNT, default=16, help="Questions to choose by.")
@click.option("--questions", type=COUNT, default=20, help="Questions to judge by.")
@out_option
@json_option
def prune(
    task: str, keep: int, merge: bool, demonstrations: int, questions: int, out: Path, as_json: bool
) -> None:
    """Keep only the mixture's experts that a task uses; compare accuracy and size."""
    from collegium.evals.training.sparse.judging import Judge
    from collegium.evals.training.sparse.pruning import prune_to

    judge = Judge(questions, tasks=(task,))
    found = prune_to(task, mixture(), out, judge, keep, demonstrations, merge=merge)
    if as_json:
        sides = {name: _flat(quality, task) for name, quality in found.items()}
        click.echo(json.dumps({"task": task, "questions": questions, **sides}, indent=2))
        return
    for name, quality in found.items():
        right = f"{quality.accuracy[task]:.0%} of {questions} {task} questions right"
        click.echo(f"{name}: {right}, {quality.gigabytes:.2f} GB")


def _flat(quality: Quality, task: str) -> dict[str, Any]:
    return {"accuracy": quality.accuracy[task], "gigabytes": quality.gigabytes}


@click.command(epilog="Example: collegium train quantise --format int8 --out runs/int8")
@click.option("--format", "form", required=True, type=click.Choice(["int8", "int4"]))
@click.option(
    "--source",
    type=click.Path(exists=True, path_type=Path),
    help="Folder of a sparse model. Default: the mixture.",
)
@click.option(
    "--group",
    type=click.Choice(["128", "64", "32"]),
    help="Weights per scale of int4. Default: the most that fit.",
)
@click.option("--questions", type=COUNT, default=20, help="Questions per task.")
@out_option
@json_option
def quantise(
    form: str, source: Path | None, group: str | None, questions: int, out: Path, as_json: bool
) -> None:
    """Quantise a sparse model's experts; compare accuracy and size."""
    from collegium.evals.training.sparse.judging import Judge
    from collegium.evals.training.sparse.quantising import GROUPS, quantise_to
    from collegium.kernels.moe.formats import Format

    groups = GROUPS if group is None else (int(group),)
    found = quantise_to(Format(form), source or mixture(), out, Judge(questions), groups)
    if as_json:
        sides = {name: vars(quality) for name, quality in found.items()}
        click.echo(json.dumps({"format": form, "questions": questions, **sides}, indent=2))
        return
    for name, quality in found.items():
        told = ", ".join(f"{task} {share:.0%}" for task, share in quality.accuracy.items())
        mean = sum(quality.accuracy.values()) / len(quality.accuracy)
        shares = f"{mean:.0%} of {questions} questions a task right ({told})"
        click.echo(f"{name}: {shares}, {quality.gigabytes:.2f} GB")
