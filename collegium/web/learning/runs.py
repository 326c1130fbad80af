"""Propose, start, cancel and fit learning runs, and confirm their marks."""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from collegium.errors import LearningRefused
from collegium.registry.expert import Expert
from collegium.registry.learning.router_versions import RouterVersion
from collegium.registry.learning.runs import (
    ENDED,
    Evidence,
    LearningAnswer,
    LearningPrompt,
    Mark,
    RunRecord,
    RunStatus,
)
from collegium.router.costs import price_usd
from collegium.router.forecasting import fingerprint
from collegium.router.learning.corrected import NOISY, corrected
from collegium.router.learning.evidence import table_of
from collegium.router.learning.panels import panel_of
from collegium.web.learning.earlier import with_earlier
from collegium.web.learning.fitting import (
    FEWEST,
    Setting,
    few,
    fit_apart,
    usd_a_prompt,
    well_known,
)
from collegium.web.learning.lines import Replayed
from collegium.web.learning.marking import try_references
from collegium.web.learning.proposal import propose, require_enough
from collegium.web.learning.spec import LearnSpec
from collegium.web.serving.parts import Parts

FITTED_OUT_OF: tuple[RunStatus, ...] = ("running", *ENDED)


async def propose_run(
    parts: Parts, spec: LearnSpec, found: Sequence[Replayed], owner: str
) -> RunRecord:
    """Write down a run with its estimate; nothing is asked yet."""
    proposal = await propose(parts, spec, await with_earlier(parts, found), owner)
    trusted = parts.settings.learn_checkers
    await asyncio.to_thread(try_references, spec, proposal.prompts, trusted)
    if proposal.comparable < FEWEST:  # `marked` reads more, so only then
        require_enough(proposal, await parts.learning_runs.marked())
    await parts.learning_runs.propose(
        proposal.run, proposal.prompts, proposal.answers, proposal.marks
    )
    return proposal.run


async def start_run(parts: Parts, run_id: str) -> RunRecord:
    """Start a proposed run; raise LearningRefused if it has already started or ended."""
    runs = parts.learning_runs
    if not await runs.change(run_id, out_of=("proposed",), status="running"):
        found = await runs.get(run_id)
        raise LearningRefused(f"the learning run is {found.status}, so it can't be started")
    return await runs.get(run_id)


async def cancel_run(parts: Parts, run_id: str) -> RunRecord:
    """End a run; what was answered is kept, and can be fitted."""
    runs, now = parts.learning_runs, datetime.now(UTC)
    changes = {"status": "cancelled", "finished_at": now, "detail": "cancelled"}
    if not await runs.change(run_id, out_of=("proposed", "running"), **changes):
        found = await runs.get(run_id)
        raise LearningRefused(f"the learning run is already {found.status}")
    return await runs.get(run_id)


async def fit_again(parts: Parts, run_id: str) -> RunRecord:
    """Fit and report again, with the marks that were confirmed since."""
    record = await parts.learning_runs.get(run_id)
    if record.status not in ENDED:
        raise LearningRefused(f"the learning run is {record.status}; wait until it has ended")
    await fit_run(parts, record, record.detail)
    return await parts.learning_runs.get(run_id)


async def fit_run(parts: Parts, record: RunRecord, detail: str = "") -> None:
    """Fit a router to the evidence of all runs: what earlier ones paid for still teaches.

    It becomes a candidate version, and the run is finished with its report.
    """
    runs, settings = parts.learning_runs, parts.settings
    ids = dict.fromkeys([*await runs.with_marks(), record.id])
    experts = by_weights(await parts.catalogue.now(), record.spec.get("experts") or ())
    judges = {run_id: _judge_of(await runs.get(run_id)) for run_id in ids}
    found = corrected(await runs.evidence(list(ids)), judges)
    evidence = at_own_prices(found.evidence, experts)
    whole = table_of(evidence, {f: e.name for f, e in experts.items()})
    table, left_out = well_known(whole.of(experts))
    panels = whole.of({f for f in whole.fingerprints if panel_of(f)})
    if (why := few(table)) is not None:
        raise LearningRefused(f"{why}{f' ({detail})' if detail else ''}")
    setting = Setting(
        settings.encoder,
        settings.cache_dir,
        settings.predictor,
        {f: (e.input_price, e.output_price) for f, e in experts.items()},
        usd_a_prompt(table),
        found.confirmed,
        found.sources,
        found.measured,
        found.confirmed_of,
        left_out,
    )
    fitted = await fit_apart(table, panels, setting)
    name = f"rtr_{secrets.token_hex(8)}"
    version = RouterVersion(name, record.owner, record.id, report=fitted.report)
    await parts.router_versions.add(version, fitted.card, fitted.arrays)
    await runs.change(
        record.id,
        out_of=FITTED_OUT_OF,
        status="finished",
        finished_at=datetime.now(UTC),
        report=dict(fitted.report),
        router=version.id,
        detail=detail,
    )


def by_weights(experts: Sequence[Expert], named: Sequence[str]) -> dict[str, Expert]:
    """Return the experts by fingerprint; `named` are those that a run was told to ask.

    Of several experts with the same weights, the report is on the one that was named first, or
    else on one that is enabled and has prices.
    """
    rank = {name: i for i, name in enumerate(named)}
    found: dict[str, Expert] = {}
    for expert in sorted(
        experts,
        key=lambda e: (rank.get(e.name, len(rank)), not e.enabled, e.input_price is None),
    ):
        found.setdefault(fingerprint(expert), expert)
    return found


def at_own_prices(evidence: Evidence, experts: Mapping[str, Expert]) -> Evidence:
    """Return the evidence with each answer's cost at the prices of the expert it counts for.

    Experts with the same weights share their marks, but may have different prices.
    """
    return replace(evidence, answers=tuple(_priced(a, experts) for a in evidence.answers))


def _priced(answer: LearningAnswer, experts: Mapping[str, Expert]) -> LearningAnswer:
    expert = experts.get(answer.fingerprint)
    if expert is None or expert.name == answer.expert:
        return answer
    tokens = answer.prompt_tokens, answer.completion_tokens
    if tokens[0] is None or tokens[1] is None:
        return replace(answer, cost_usd=None)
    return replace(answer, cost_usd=price_usd(expert, tokens[0], tokens[1]))


def _judge_of(record: RunRecord) -> str:
    """What erred alike: the judge and how it was asked."""
    judge, method = record.spec.get("judge"), record.spec.get("judge_method")
    return f"{judge} ({method})" if judge else ""


def unconfirmed(evidence: Evidence, count: int, seed: int) -> list[tuple[LearningPrompt, Mark]]:
    """Return a random sample of marks by a judge or agreement that nobody has confirmed yet."""
    confirmed = {(m.number, m.expert) for m in evidence.marks if m.source == "confirmed"}
    answered = {(a.number, a.expert) for a in evidence.answers if a.answer is not None}
    prompts = {prompt.number: prompt for prompt in evidence.prompts}
    unsure = [
        mark
        for mark in evidence.marks
        if mark.source in NOISY
        and mark.reliability < 1
        and (mark.number, mark.expert) in answered - confirmed
        and mark.number in prompts
    ]
    chosen = random.Random(seed).sample(unsure, min(count, len(unsure)))
    return [(prompts[mark.number], mark) for mark in chosen]
