"""`collegium expert profile`: measure an expert's skills with questions that a program marks."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from collegium.cli.numbers import FiniteRange
from collegium.cli.output import agreed, dollars, json_option, print_json, print_table
from collegium.errors import CollegiumError

if TYPE_CHECKING:
    from collegium.experts.questions.profiling import Plan, Profile, Reply
    from collegium.experts.questions.source import Source
    from collegium.registry.expert import Expert

QUESTIONS = 60
APPLICATION = "expert-profile"
"""The application of its requests."""
ATTEMPTS = 3
MOST_TOKENS = 1024


@dataclass(frozen=True)
class Budget:
    """The limits of a profile."""

    questions: int = QUESTIONS
    usd: float | None = None
    max_tokens: int = MOST_TOKENS
    """Tokens of one answer; reasoning models need more."""


@click.command(epilog="Example: collegium expert profile mine --questions 60 --yes")
@click.argument("name")
@click.option(
    "--questions", type=click.IntRange(1, 5000), default=QUESTIONS, help="Most questions."
)
@click.option("--budget-usd", type=FiniteRange(0, min_open=True), help="Maximum dollars in total.")
@click.option(
    "--max-tokens", type=click.IntRange(64), default=MOST_TOKENS, help="Longest answer, tokens."
)
@click.option("--kind", "kinds", multiple=True, help="Only this kind of question; repeatable.")
@click.option(
    "--file",
    "path",
    type=click.Path(path_type=Path),
    help="File with your own questions, as JSON lines.",
)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation of the cost.")
@json_option
def profile(
    name: str,
    questions: int,
    budget_usd: float | None,
    max_tokens: int,
    kinds: tuple[str, ...],
    path: Path | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Measure an expert's skills with questions that a program marks."""
    if kinds and path is not None:
        raise click.UsageError("--kind is for the general questions: a --file has its own")
    source = _source(kinds, path)
    budget = Budget(questions, budget_usd, max_tokens)
    found = asyncio.run(profile_expert(name, source, budget, confirmed=yes))
    if as_json:
        return print_json(_described(name, found))
    print_profile(found)


def _source(kinds: Sequence[str], path: Path | None) -> Source:
    from collegium.experts.questions.own import own_questions
    from collegium.experts.questions.source import Bank, Listed

    return Bank(kinds) if path is None else Listed(own_questions(path))


async def profile_expert(name: str, source: Source, budget: Budget, *, confirmed: bool) -> Profile:
    """State the cost and ask for it, then ask the questions and keep levels and answers."""
    from collegium.cli.local_service import endpoint, some_service
    from collegium.cli.registering import change
    from collegium.cli.service_client import open_registry
    from collegium.errors import ExpertError, ProbeFailed
    from collegium.experts.questions.answers import AnswerLog, fingerprint, profile_path
    from collegium.experts.questions.profiling import Profiler, planned
    from collegium.experts.roster import adapter_folder
    from collegium.settings import load_settings

    settings = load_settings()
    async with AsyncExitStack() as stack:
        registry = await stack.enter_async_context(open_registry())
        expert = await registry.get(name)
        plan = planned(expert, source, budget.questions, budget.usd)
        _confirm(expert, plan, confirmed=confirmed)
        stamp = fingerprint(expert, weights=adapter_folder(expert))
        log = stack.enter_context(AnswerLog(profile_path(settings.data_dir, name), stamp))
        url = await stack.enter_async_context(some_service())
        service = await stack.enter_async_context(endpoint(settings, url))

        async def ask(request: Mapping[str, Any]) -> Reply:
            return _reply(await _patiently(service, expert.name, request))

        try:
            with _progress(plan) as bar:
                profiler = Profiler(expert, source, ask, log, budget.max_tokens)
                found = await profiler.run(plan, lambda _answer: bar.update(1))
        except ExpertError as exc:
            raise ProbeFailed(f"{exc}; what was answered is kept: run it again") from exc
        levels = {kind: round(level.mean, 3) for kind, level in found.levels.items()}
        await change(name, {"skills": {**(await registry.get(name)).skills, **levels}})
    return found


def _confirm(expert: Expert, plan: Plan, *, confirmed: bool) -> None:
    """Show the cost, and abort unless it is confirmed."""
    tokens = (
        f"{plan.questions} question{'s' if plan.questions != 1 else ''} to '{expert.name}', about "
        f"{plan.prompt_tokens:,} tokens of prompts and {plan.completion_tokens:,} of answers"
    )
    if plan.usual_usd is None:
        cost = "its price is unknown, so the cost is too"
        if plan.budget_usd is not None:
            raise click.UsageError(f"a budget needs the price of '{expert.name}', which is unknown")
    else:
        cost = f"about {dollars(plan.usual_usd)}, at most {dollars(plan.budget_usd or 0)}"
    click.echo(f"{tokens}: {cost}.", err=True)
    if not (confirmed or agreed("Ask them?")):
        raise CollegiumError("nothing was asked; --yes goes on without a question")


def _progress(plan: Plan) -> Any:
    from tqdm import tqdm

    return tqdm(total=plan.questions, desc="asking", unit="question", disable=None)


async def _patiently(service: Any, name: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Ask again what a busy or failing expert refused; not what took it too long."""
    from collegium.errors import ExpertError, ExpertRejected, ExpertTimeout

    for attempt in range(1, ATTEMPTS + 1):
        try:
            answer: Mapping[str, Any] = await service.complete(name, request, APPLICATION)
            return answer
        except ExpertError as exc:
            late = isinstance(exc, ExpertTimeout) or "expert_timeout" in str(exc)
            refused = isinstance(exc, ExpertRejected) and exc.http_status != 429
            again = not (late or refused)
            if not again or attempt == ATTEMPTS:
                raise
            await asyncio.sleep(2.0**attempt)
    raise AssertionError("unreachable")


def _reply(answer: Mapping[str, Any]) -> Reply:
    from collegium.experts.questions.profiling import Reply

    usage = answer["usage"]
    used = usage.get("prompt_tokens", 0), usage.get("completion_tokens", 0)
    return Reply(answer["message"], *used)


def _described(name: str, found: Profile) -> dict[str, Any]:
    skills = {
        kind: {"level": round(x.mean, 3), "sd": round(x.sd, 3), "questions": x.count}
        for kind, x in found.levels.items()
    }
    return {
        "expert": name,
        "questions": len(found.answers),
        "cost_usd": found.cost_usd,
        "skills": skills,
    }


def print_profile(found: Profile, *, err: bool = False) -> None:
    """Levels by kind, and what was right at each level."""
    from collegium.experts.questions.base import LEVELS

    marks: dict[tuple[str, int], list[float]] = {}
    for answer in found.answers:
        if answer.mark is not None:
            marks.setdefault((answer.kind, answer.level), []).append(answer.mark)
    rows = [
        (kind, f"{x.mean:.0%} ± {x.sd:.0%}", *(_share(marks.get((kind, n))) for n in LEVELS))
        for kind, x in found.levels.items()
    ]
    print_table(("KIND", "LEVEL", *(f"RIGHT AT {level}" for level in LEVELS)), rows, err=err)
    cost = "" if found.cost_usd is None else f", {dollars(found.cost_usd)}"
    click.echo(f"{len(found.answers)} questions{cost}.", err=err)


def _share(marks: Sequence[float] | None) -> str:
    return "-" if not marks else f"{sum(marks):g} of {len(marks)}"
