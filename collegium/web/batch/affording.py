"""Reserve the cost of a line before it is asked: as planned, with a cheaper expert, or not at
all.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from collegium.errors import BudgetExhausted, CollegiumError
from collegium.router.costs import dearest_usd, most_usd, price_usd
from collegium.router.tokens import REASONING, prior_of
from collegium.web.batch.budgeting import Budgeting
from collegium.web.batch.ledger import GENEROUS, Grant, Ledger
from collegium.web.batch.plan import waiting_for_engines
from collegium.web.serving.decide import Decided
from collegium.web.serving.parts import Parts
from collegium.web.serving.prepare import Prepared


async def afforded(
    parts: Parts, ledger: Ledger, budgeting: Budgeting, line: int, decided: Decided
) -> Decided:
    """Reserve a line's cost and return the line as it can be asked; raise BudgetExhausted if it
    can't.

    `max_tokens` is cut where an answer could otherwise cost more than is reserved.
    """

    async def reserve(decided: Decided, most_usd: float | None) -> Grant:
        wish = budgeting.wish_usd(decided.decision.forecast)
        return await ledger.reserve(line, most_usd, wish, _bound_usd(parts, decided))

    try:
        grant = await reserve(decided, _most_usd(parts, decided))
    except BudgetExhausted as exhausted:
        decided = await _cheaper(parts, ledger, decided, exhausted)
        grant = await reserve(decided, decided.decision.forecast.most_usd)
    return _within(parts, decided, grant) if grant.tight else decided


def _most_usd(parts: Parts, decided: Decided) -> float | None:
    """The upper forecast by what was learnt since the plan was made."""
    query, forecast = decided.request.query, decided.decision.forecast
    if decided.by_panel or forecast.most_usd is None:
        return forecast.most_usd
    expert = decided.panel.members[0].expert
    prompt = query.prompt_tokens or 1
    usual = forecast.output_tokens / query.choices
    _, most = parts.tokens.within(expert, query, prompt, usual)
    _, most_prompt = parts.tokens.prompt(expert, prompt)
    each = parts.tokens.allowed(expert, query)
    allowed = None if each is None else each * query.choices
    return most_usd(expert, most_prompt, most, allowed, query.service_tier)


def _bound_usd(parts: Parts, decided: Decided) -> float | None:
    """Return the most that an answer of limited length can cost; None if its length is unlimited.

    The prompt's tokens are a forecast all the same, hence `GENEROUS` times their upper one.
    """
    if decided.by_panel:
        return None
    query, expert = decided.request.query, decided.panel.members[0].expert
    allowed = parts.tokens.allowed(expert, query)
    if allowed is None:
        return None
    _, prompt = parts.tokens.prompt(expert, query.prompt_tokens or 1)
    tokens = allowed * query.choices
    return dearest_usd(expert, round(GENEROUS * prompt), tokens, query.service_tier)


async def _cheaper(
    parts: Parts, ledger: Ledger, decided: Decided, exhausted: BudgetExhausted
) -> Decided:
    """Decide the line anew within what is left of the budget."""
    request, before = decided.request, decided.decision.expert
    query = request.query
    own = query.limits.max_cost_usd
    left = max(ledger.left if own is None else min(own, ledger.left), 0.0)
    limits = replace(query.limits, max_cost_usd=left)
    asked = replace(request, query=replace(query, limits=limits))
    try:
        found = await parts.pipeline.decide(asked, waiting_for_engines(parts.fleet))
    except CollegiumError:
        raise exhausted from None
    if found.by_panel:
        return found
    reason = f"What is left of the job's budget pays for this expert, not for {before}."
    moved = replace(found.decision, policy="bulk", reason=reason)
    return await parts.decider.as_decided(request, moved)


def _within(parts: Parts, decided: Decided, grant: Grant) -> Decided:
    """The line with its answers cut to what is reserved."""
    request = decided.request
    query = request.query
    if decided.by_panel:  # a panel asks nobody whom its limit does not pay for
        limits = replace(query.limits, max_cost_usd=grant.usd)
        return replace(decided, request=replace(request, query=replace(query, limits=limits)))
    expert = decided.panel.members[0].expert
    _, prompt = parts.tokens.prompt(expert, query.prompt_tokens or 1)
    tier = query.service_tier
    reading = price_usd(expert, prompt, 0, tier=tier) or 0.0
    million = price_usd(expert, prompt, 1_000_000, tier=tier) or 0.0
    writing = million - reading
    if writing <= 0:
        return decided
    tokens = int((grant.usd - reading) * 1_000_000 / writing) // query.choices
    allowed = parts.tokens.allowed(expert, query) or tokens
    return replace(decided, request=_cut(request, max(min(tokens, allowed), 1), expert.model))


def _cut(request: Prepared, tokens: int, model: str) -> Prepared:
    body: dict[str, Any] = dict(request.body)
    given = [name for name in ("max_completion_tokens", "max_tokens") if body.get(name)]
    if not given:  # reasoning models of OpenAI refuse `max_tokens`, older servers the other name
        given = ["max_completion_tokens" if prior_of(model) is REASONING else "max_tokens"]
    for name in given:
        body[name] = min(body.get(name) or tokens, tokens)
    query = request.query
    cut = min(query.max_tokens or tokens, tokens)
    return replace(request, body=body, query=replace(query, max_tokens=cut))
