"""Forecasts of what asking an expert will cost."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from collegium.registry.expert import Expert
from collegium.router.costs import most_usd, price_usd
from collegium.router.decision import Query
from collegium.router.tokens import Tokens

JUDGE_PROMPT, JUDGE_ANSWER = 250, 12
"""Tokens of a judge's instructions and of its verdict."""
VERDICT_TOKENS = 512
"""Room for a word, and for a judge that thinks before it."""


@dataclass(frozen=True)
class Price:
    """The cost of one answer in dollars: the expected one, and an upper bound for nearly all; None
    if unknown.
    """

    usd: float | None
    most_usd: float | None
    tokens: int
    most_tokens: int


def price_of(tokens: Tokens, expert: Expert, query: Query) -> Price:
    """Return the cost of one answer of an expert."""
    counted = query.prompt_tokens or 1
    prompt, most_prompt = tokens.prompt(expert, counted)
    mean, most = tokens.within(expert, query, counted, None)
    allowed = tokens.allowed(expert, query)
    return Price(
        price_usd(expert, prompt, mean), most_usd(expert, most_prompt, most, allowed), mean, most
    )


def judging_usd(
    judge: Expert, query: Query, answer_tokens: int, verdict_tokens: int = JUDGE_ANSWER
) -> float | None:
    """Return the cost of comparing two answers in both orders."""
    read = 2 * ((query.prompt_tokens or 1) + 2 * answer_tokens + JUDGE_PROMPT)
    return price_usd(judge, read, 2 * verdict_tokens)


def total(costs: Iterable[float | None]) -> tuple[float, int]:
    """The sum of what is known, and how many are unknown."""
    known, unknown = 0.0, 0
    for cost in costs:
        if cost is None:
            unknown += 1
        else:
            known += cost
    return known, unknown
