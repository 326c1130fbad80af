"""`collegium learn confirm`: mark a few answers yourself."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from typing import Any

import click

LONGEST = 1500
"""Characters of a prompt or an answer that are shown."""
BETTER = {"1": 1.0, "2": 0.0, "t": 0.5}
RIGHT = {"y": 1.0, "n": 0.0, "h": 0.5}
STOP = "q"


@click.command(epilog="Example: collegium learn confirm lrn_4f1c --count 60")
@click.argument("run_id", metavar="RUN")
@click.option("--count", type=click.IntRange(1, 1000), default=60, help="Answers to mark.")
@click.option("--seed", type=click.IntRange(0), default=0, help="Seed of the sample.")
def confirm(run_id: str, count: int, seed: int) -> None:
    """Mark a random sample of answers yourself, to measure the judge's errors.

    The judge's marks are then corrected by its errors with each expert, and the report states what
    your marks support. Each mark is saved immediately; s skips an answer, q stops.
    """
    asyncio.run(_confirm(run_id, count, seed))


async def _confirm(run_id: str, count: int, seed: int) -> None:
    from collegium.cli.service_client import required_service

    order, where, kept = random.Random(seed), f"/v1/learning/runs/{run_id}", 0
    async with required_service() as service:
        query = f"{where}/unconfirmed?count={count}&seed={seed}"
        found = await service.call("GET", query)
        if not (rows := found["data"]):
            return click.echo(f"There is nothing to confirm: {_why_nothing(found['marks'])}.")
        for number, row in enumerate(rows, start=1):
            click.echo(f"\n[{number} of {len(rows)}]")
            said = _said(row, swapped=order.random() < 0.5)
            if said == STOP:
                break
            if isinstance(said, float):
                mark = {"number": row["number"], "expert": row["expert"], "score": said}
                await service.call("POST", f"{where}/marks", {"marks": [mark]})
                kept += 1
    click.echo(f"{kept} marks are kept. Fit again with `collegium learn fit {run_id}`.")


def _why_nothing(marks: Mapping[str, int]) -> str:
    """The reason, by how many marks each source has given."""
    if not marks:
        return "the run has no marks yet"
    if marks.keys() == {"checker"}:
        return "programs marked all answers"
    return "no answer's mark is uncertain and unconfirmed"


def _said(row: Any, *, swapped: bool) -> float | str:
    """The score, or the letter that skips or stops. Who answered is not shown."""
    click.echo(f"Request:\n{_shown_request(row['request'])}\n")
    other = row["compared_with"]
    if other is None:
        click.echo(f"Answer:\n{_shown(row['answer'])}\n")
        said = _choice("Right? y(es), n(o), h(alf), s(kip), q(uit)", [*RIGHT, "s", STOP])
        return RIGHT.get(said, said)
    first, second = (other, row["answer"]) if swapped else (row["answer"], other)
    click.echo(f"Answer 1:\n{_shown(first)}\n\nAnswer 2:\n{_shown(second)}\n")
    said = _choice("Which is better? 1, 2, t(ie), s(kip), q(uit)", [*BETTER, "s", STOP])
    if said not in BETTER:
        return said
    return 1 - BETTER[said] if swapped else BETTER[said]


def _choice(question: str, answers: list[str]) -> str:
    said: str = click.prompt(question, type=click.Choice(answers), show_choices=False)
    return said


def _shown_request(request: Any) -> str:
    return "\n".join(f"{m['role']}: {_shown(m)}" for m in request["messages"][-3:])


def _shown(message: Any) -> str:
    """A message's text, without what a terminal would obey."""
    content = message.get("content")
    text = content if isinstance(content, str) else str(content or "")
    calls = message.get("tool_calls") or []
    text = "\n".join([text, *(str(call.get("function")) for call in calls)])
    clean = "".join(c for c in text if c.isprintable() or c in "\n\t").strip()
    return clean if len(clean) <= LONGEST else f"{clean[:LONGEST]} … [{len(clean)} characters]"
