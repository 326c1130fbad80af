"""Propose a learning run: its prompts, its experts, its cost and the expected margin of error."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

from collegium.errors import BadRequest, NoFeasibleExpert
from collegium.registry.expert import Expert
from collegium.registry.learning.runs import LearningAnswer, LearningPrompt, Mark, RunRecord
from collegium.router.applications.resolver import applications_of
from collegium.router.decision import Query
from collegium.router.eligibility import able
from collegium.router.forecasting import fingerprint
from collegium.router.learning.sampling import sample
from collegium.web.learning.costs import VERDICT_TOKENS, judging_usd, price_of, total
from collegium.web.learning.fitting import FEWEST
from collegium.web.learning.lines import Replayed, signals_json
from collegium.web.learning.panels import MOST as MOST_PLAYED
from collegium.web.learning.panels import panel_usd, require_writing
from collegium.web.learning.spec import LearnSpec
from collegium.web.serving.parts import Parts

PAIRED_SD = 0.51
"""The sd of the difference of two experts' marks on a prompt, before anything is measured: the
median of pairs with the best single expert in four worlds of recorded answers (0.47 to 0.53). A
router that often keeps to that expert has a smaller margin."""
RATING_RELIABILITY = 0.85
"""The reliability of people's ratings. An assumption; nothing is weighted by it yet."""
RACED = 0.6
"""About the share of a full replay's cost that a race leaves; a live run asked 394 of 600."""


@dataclass(frozen=True)
class Proposal:
    """A run as it is proposed, with its prompts."""

    run: RunRecord
    prompts: tuple[LearningPrompt, ...]
    answers: tuple[LearningAnswer, ...] = ()
    """Existing answers, which need not be paid for."""
    marks: tuple[Mark, ...] = ()
    """The ratings that people gave them."""
    comparable: int = 0
    """Prompts that two or more experts may answer: only their answers get marks."""


@dataclass(frozen=True)
class _Asked:
    """A prompt with its application and the experts that may answer it."""

    prompt: Replayed
    application: str | None
    able: Sequence[Expert]


async def propose(parts: Parts, spec: LearnSpec, found: Sequence[Replayed], owner: str) -> Proposal:
    """Sample the prompts, see who may be asked, and forecast what this costs."""
    experts = await parts.catalogue.now()
    pool = _pool(spec, experts)
    judge = _judge(spec, experts)
    if spec.panels:
        require_writing(spec.panels, pool)
    possible = _possible(parts, spec, found, pool)
    if not possible:
        raise NoFeasibleExpert("The policies of the prompts' applications exclude every expert")
    order = sample([each.application for each in possible], spec.prompts, seed=spec.seed)
    sampled = [possible[row] for row in order]
    costs = [_costs(parts, each, judge) for each in sampled]
    if spec.panels:
        for each, usd in zip(sampled[:MOST_PLAYED], costs, strict=False):
            _add_panels(usd, parts, each, spec.panels)
    chosen = sampled[: _within_budget(costs, spec)]
    estimate = _estimate(
        chosen, costs[: len(chosen)], sum(_most(parts, e, judge) for e in chosen), spec
    )
    estimate |= {"prompts_given": len(found), "prompts_without_expert": len(found) - len(possible)}
    run = RunRecord(
        f"lrn_{secrets.token_hex(12)}",
        owner,
        spec.model_dump(mode="json"),
        estimate,
        planned=sum(len(each.able) for each in chosen),
    )
    prompts = tuple(_prompt(run.id, number, each) for number, each in enumerate(chosen))
    pairs = list(zip(prompts, chosen, strict=True))
    return Proposal(
        run,
        prompts,
        tuple(answer for prompt, each in pairs for answer in _logged(prompt, each)),
        tuple(mark for prompt, each in pairs for mark in _rated(prompt, each, owner)),
        comparable=sum(len(each.able) > 1 for each in chosen),
    )


def require_enough(proposal: Proposal, marked: int) -> None:
    """Raise BadRequest if no router could be fitted after the run, for all that it costs.

    `marked` are the prompts that have marks of earlier runs, which teach as well.
    """
    count = proposal.comparable
    if not count:
        raise BadRequest(
            "A learning run compares experts, and none of its prompts may be answered by two of "
            "them: register another, or name two or more",
            "experts",
        )
    if count + marked < FEWEST:
        earlier = f", beside {marked} of earlier runs" if marked else ""
        raise BadRequest(
            f"A router needs {FEWEST} marked prompts. The run has {count} different ones that two "
            f"or more experts may answer{earlier}: give more",
            "input_file_id" if proposal.run.spec["from_log"] is None else "from_log",
        )


def _pool(spec: LearnSpec, experts: Sequence[Expert]) -> list[Expert]:
    """Return the experts that may be asked: those named, or all that are enabled."""
    if spec.experts is None:
        return [e for e in experts if e.enabled]
    known = {e.name: e for e in experts if e.enabled}
    if unknown := sorted(set(spec.experts) - known.keys()):
        raise BadRequest(
            f"There is not an enabled expert {', '.join(map(repr, unknown))}. Available: "
            f"{', '.join(sorted(known))}",
            "experts",
        )
    return [known[name] for name in dict.fromkeys(spec.experts)]


def _judge(spec: LearnSpec, experts: Sequence[Expert]) -> Expert | None:
    if spec.judge is None:
        return None
    judge = next((e for e in experts if e.name == spec.judge and e.enabled), None)
    if judge is None:
        raise BadRequest(f"The judge '{spec.judge}' is not an enabled expert", "judge")
    return judge


def _possible(
    parts: Parts, spec: LearnSpec, found: Sequence[Replayed], pool: Sequence[Expert]
) -> list[_Asked]:
    """Return the prompts that some expert may answer.

    A prompt's application is the one recorded in the log, or is recognised by its signals.
    """
    keys, _ = applications_of([prompt.query.signals for prompt in found])
    known, named = parts.recognition.applications, spec.experts is not None
    possible = []
    for prompt, recognised in zip(found, keys, strict=True):
        key = prompt.application or (recognised and known.final(recognised))
        if experts := permitted(parts, prompt.query, key, pool, named=named):
            possible.append(_Asked(prompt, key, experts))
    return possible


def permitted(
    parts: Parts,
    query: Query,
    application: str | None,
    pool: Sequence[Expert],
    *,
    named: bool,
) -> list[Expert]:
    """Return the experts that the application's policy, the prompt's length and its needs permit.

    Where the experts were not `named`, demonstration experts are asked only if there are no others.
    """
    policy = parts.recognition.policy_of(application)
    allowed = [e for e in pool if policy is None or policy.permits(e)]
    return able(allowed, query, demonstrations=named)


def _costs(parts: Parts, asked: _Asked, judge: Expert | None) -> dict[str, float | None]:
    """Dollars by expert; the judge's part is under "judge"."""
    prompt, able = asked.prompt, asked.able
    prices = {e.name: price_of(parts.tokens, e, prompt.query) for e in able}
    found = {n: 0.0 if n in prompt.logged else price.usd for n, price in prices.items()}
    if judge is not None and len(able) > 1:
        usual = sum(price.tokens for price in prices.values()) // len(prices)
        one = judging_usd(judge, prompt.query, usual)
        found["judge"] = None if one is None else one * (len(able) - 1)
    return found


def _add_panels(
    usd: dict[str, float | None], parts: Parts, asked: _Asked, panels: Sequence[str]
) -> None:
    """Add what the panels' answers to a prompt cost, and what it costs to judge these as well."""
    usd["panels"] = panel_usd(parts, asked.able, asked.prompt.query, panels)
    if judged := usd.get("judge"):
        usd["judge"] = judged * (1 + len(panels) / (len(asked.able) - 1))


def _most(parts: Parts, asked: _Asked, judge: Expert | None) -> float:
    """Dollars by which a prompt's answers and their verdicts may cost more than is expected."""
    prompt = asked.prompt
    new = [expert for expert in asked.able if expert.name not in prompt.logged]
    prices = [price_of(parts.tokens, expert, prompt.query) for expert in new]
    surplus = sum((price.most_usd or 0.0) - (price.usd or 0.0) for price in prices)
    return surplus + _most_judged(parts, asked, judge)


def _most_judged(parts: Parts, asked: _Asked, judge: Expert | None) -> float:
    """Dollars by which the verdicts on a prompt's answers may cost more than is expected."""
    if judge is None or len(asked.able) < 2:
        return 0.0
    query = asked.prompt.query
    prices = [price_of(parts.tokens, expert, query) for expert in asked.able]
    usual = sum(price.tokens for price in prices) // len(prices)
    longest = max(price.most_tokens for price in prices)
    most = judging_usd(judge, query, longest, VERDICT_TOKENS) or 0.0
    return (len(prices) - 1) * (most - (judging_usd(judge, query, usual) or 0.0))


def _within_budget(costs: Sequence[dict[str, float | None]], spec: LearnSpec) -> int:
    """Return how many prompts the budget covers; raise BadRequest if it covers none."""
    if spec.budget_usd is None:
        return len(costs)
    share = RACED if spec.race else 1.0
    spent = 0.0
    for count, each in enumerate(costs):
        known, unknown = total(each.values())
        if unknown:
            names = ", ".join(sorted(name for name, usd in each.items() if usd is None))
            raise BadRequest(
                f"A budget requires known prices, but those of {names} are unknown: set them with "
                "`collegium expert update`, or choose other experts",
                "budget_usd",
            )
        spent += known * share
        needed = min(FEWEST, len(costs))
        if spent > spec.budget_usd and count < needed:
            raise BadRequest(
                f"budget_usd {spec.budget_usd:g} pays for {count} prompts; {needed} are needed, "
                f"which cost about ${spent / (count + 1) * needed:.4f}",
                "budget_usd",
            )
        if spent > spec.budget_usd:
            return count
    return len(costs)


def _estimate(
    chosen: Sequence[_Asked],
    costs: Sequence[dict[str, float | None]],
    surplus_usd: float,
    spec: LearnSpec,
) -> dict[str, Any]:
    """Describe the run; its answers may cost up to `surplus_usd` more than is expected."""
    by_expert: dict[str, float | None] = {}
    for each in costs:
        for name, usd in each.items():
            before = by_expert.get(name, 0.0)
            by_expert[name] = None if usd is None or before is None else before + usd
    whole, _ = total(by_expert.values())
    expected = whole * (RACED if spec.race and len(chosen) > FEWEST else 1.0)
    budget = inf if spec.budget_usd is None else spec.budget_usd
    return {
        "prompts": len(chosen),
        "answers": sum(len(each.able) for each in chosen),
        "ratings": sum(e.name in each.prompt.ratings for each in chosen for e in each.able),
        "answers_reused": sum(e.name in each.prompt.logged for each in chosen for e in each.able),
        "incumbent": _incumbent([each.prompt for each in chosen]),
        "applications": dict(Counter(each.application or "" for each in chosen).most_common()),
        "usd": round(expected, 6),
        "most_usd": round(min(whole + surplus_usd, budget), 6),
        "usd_by_expert": {n: None if u is None else round(u, 6) for n, u in by_expert.items()},
        "unknown_prices": sorted(n for n, u in by_expert.items() if u is None),
        "margin_points": round(196 * PAIRED_SD / max(len(chosen), 1) ** 0.5, 1),
    }


def _incumbent(prompts: Sequence[Replayed]) -> str | None:
    """Return the expert that answers most of the prompts' traffic; None if they have no traffic."""
    logged = Counter(n for p in prompts for n, answer in p.logged.items() if not answer.by_run)
    return max(sorted(logged), key=lambda name: logged[name], default=None)


def _prompt(run_id: str, number: int, asked: _Asked) -> LearningPrompt:
    prompt = asked.prompt
    return LearningPrompt(
        run_id,
        number,
        prompt.digest,
        prompt.query.text,
        prompt.body,
        signals_json(prompt.query.signals),
        application=asked.application,
        reference=prompt.reference,
        checker=prompt.checker,
        decision_id=prompt.decision_id,
    )


def _logged(prompt: LearningPrompt, asked: _Asked) -> Iterator[LearningAnswer]:
    """Yield the answers in the log by experts that may be asked."""
    for expert in asked.able:
        answer = asked.prompt.logged.get(expert.name)
        if answer is not None:
            yield LearningAnswer(
                prompt.run_id,
                prompt.number,
                expert.name,
                fingerprint(expert),
                answer.message,
                prompt_tokens=answer.prompt_tokens,
                completion_tokens=answer.completion_tokens,
                cost_usd=answer.cost_usd,
                latency_ms=answer.latency_ms,
                logged=True,
            )


def _rated(prompt: LearningPrompt, asked: _Asked, owner: str) -> Iterator[Mark]:
    """Yield the ratings that people gave to experts' answers to the prompt."""
    names = {expert.name for expert in asked.able}
    for name, score in asked.prompt.ratings.items():
        if name in names:
            yield Mark(
                prompt.run_id, prompt.number, name, "rating", score, RATING_RELIABILITY, owner
            )
