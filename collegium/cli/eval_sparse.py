"""`collegium eval sparse`: a sparse model's quality on the specialists' tasks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from collegium.cli.output import json_option

if TYPE_CHECKING:
    from collegium.evals.tasks.base import Split


@click.command(epilog="Example: collegium eval sparse --questions 40")
@click.option(
    "--model",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Model folder. Default: the pool's mixture.",
)
@click.option("--questions", type=click.IntRange(min=1), default=20, help="Questions per task.")
@click.option("--split", type=click.Choice(["validation", "test"]), default="test")
@json_option
def sparse(folder: Path | None, questions: int, split: Split, as_json: bool) -> None:
    """Evaluate a sparse model on each task's questions with vLLM."""
    from collegium.cli.train_smaller import mixture
    from collegium.evals.training.sparse.judging import Judge, summary, vllm_answers

    judge = Judge(questions, split=split)
    found = summary(judge.right(vllm_answers(folder or mixture())), questions)
    if as_json:
        click.echo(json.dumps({"split": split, "questions": questions, **found}, indent=2))
        return
    for name, share in found["tasks"].items():
        click.echo(f"{name}: {share:.0%}")
    low, high = found["interval"]
    asked = f"{questions} {split} questions a task"
    click.echo(f"all: {found['all']:.0%} [{low:.0%}, {high:.0%}], {asked}")
