"""Budgets of applications in the service: counted as answers end, refused when they are spent."""

from __future__ import annotations

from dataclasses import replace

import pytest

from collegium.errors import ApplicationBudgetSpent
from collegium.experts.dispatch.terms import ANY_TIME
from collegium.router.pacing import Budget
from collegium.web.protocols.chat_request import ChatRequest
from collegium.web.serving.prepare import Prepared, prepare
from tests.web.conftest import Web

ANSWER = 11e-6
"""What one of sql's answers costs."""


def request(application: str | None, model: str = "sql") -> Prepared:
    """A request that was found to belong to an application."""
    body = {"model": model, "messages": [{"role": "user", "content": "sql 1"}]}
    found = prepare(ChatRequest.model_validate(body), ANY_TIME)
    return replace(found, query=replace(found.query, application=application))


async def answered(web: Web, application: str | None) -> None:
    """One answer, from the decision to its account."""
    decided = await web.parts.pipeline.begin(request(application))
    async for _ in web.parts.pipeline.run(decided):
        pass


async def test_a_spent_budget_refuses_its_application_alone(web: Web) -> None:
    """After as many answers as it pays for."""
    web.parts.pacing.budgets = {"chat": Budget(2.5 * ANSWER)}
    for _ in range(3):
        await answered(web, "chat")
    with pytest.raises(ApplicationBudgetSpent, match="'chat'") as told:
        await answered(web, "chat")
    assert told.value.retry_after_s
    await answered(web, "other")
    await answered(web, None)


async def test_lengths_are_learnt_by_application(web: Web) -> None:
    """What one application's answers have says little of another's."""
    web.experts["sql"].usage = {"prompt_tokens": 7, "completion_tokens": 900}
    for _ in range(10):
        await answered(web, "chat")
    chat = (await web.parts.pipeline.decide(request("chat"))).decision.forecast
    other = (await web.parts.pipeline.decide(request("other"))).decision.forecast
    assert chat.output_tokens > 500
    assert chat.output_tokens > 1.5 * other.output_tokens
