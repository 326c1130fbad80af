"""Take a learning run's prompts from the log, with the answers that were given."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from collegium.errors import BadRequest
from collegium.experts.clients.events import Json
from collegium.registry.decisions.log import DecisionLog, LoggedExchange
from collegium.web.learning.lines import MOST_PROMPTS, Logged, Replayed, replayed
from collegium.web.learning.spec import FromLog
from collegium.web.serving.priced_fields import is_by_tokens

log = logging.getLogger(__name__)
PAGE = 1000
PROFILE = "expert-profile"
"""The tag of requests that profile an expert: they are no traffic."""


async def logged_prompts(
    decisions: DecisionLog, source: FromLog, further: Collection[str] = ()
) -> list[Replayed]:
    """Return each distinct request of the log, the latest ones if there are too many.

    Where only prompts were recorded, a request is its last question, without the system prompt.
    Requests with fields that may change a price are left out, as a run has a limit in dollars;
    `further` are those that the operator allows.
    """
    found: dict[str, Replayed] = {}
    after: str | None = None
    while True:
        page = await decisions.learnable(
            application=source.application, since=source.since, after=after, limit=PAGE
        )
        for entry in page:
            prompt = _prompt(entry)
            if prompt is not None and is_by_tokens(prompt.body, further):
                before = found.pop(
                    prompt.digest, None
                )  # the latest of equals has the latest answer
                found[prompt.digest] = prompt if before is None else _rated_before(prompt, before)
        if len(page) < PAGE:
            break
        after = page[-1].decision.id
    if not found:
        of = f" of the application '{source.application}'" if source.application else ""
        since = f" since {source.since.isoformat()}" if source.since else ""
        raise BadRequest(
            f"The log has no requests{of}{since} to learn from: send some with the setting "
            "`record` set to `prompts` or `full`",
            "from_log",
        )
    return list(found.values())[-MOST_PROMPTS:]


def _prompt(entry: LoggedExchange) -> Replayed | None:
    decision, outcome = entry.decision, entry.outcome
    if decision.application == PROFILE:
        return None
    if outcome is not None and outcome.cached_from is not None:
        return None  # the same request is there with its answer
    asked: Mapping[str, Any] | None = entry.request
    if asked is None and decision.prompt:
        asked = {"messages": [{"role": "user", "content": decision.prompt}]}
    if asked is None:
        return None
    answered = _answer(entry)
    expert = _answered_by(entry)
    try:
        return replayed(
            asked,
            tenant=decision.owner,
            known_as=decision.application,
            logged={} if answered is None else {expert: answered},
            ratings=_ratings(entry, expert),
            decision_id=decision.id,
        )
    except (ValueError, BadRequest) as exc:  # an older version may have kept what we refuse now
        log.debug("decision %s is not replayed: %s", decision.id, exc)
        return None


def _rated_before(prompt: Replayed, before: Replayed) -> Replayed:
    """Return a request with what people said of earlier answers to it, by other experts."""
    return replace(prompt, ratings={**before.ratings, **prompt.ratings})


def _ratings(entry: LoggedExchange, expert: str) -> dict[str, float]:
    """Return the mean rating of one expert's answer, whether or not its text was recorded."""
    scores = [each.score for each in entry.feedback if each.score is not None]
    return {expert: sum(scores) / len(scores)} if scores and _is_of_one(entry) else {}


def _is_of_one(entry: LoggedExchange) -> bool:
    """Whether a single expert answered: a panel's answer belongs to none."""
    outcome = entry.outcome
    return outcome is not None and outcome.status == "ok" and not outcome.calls


def _answered_by(entry: LoggedExchange) -> str:
    return (entry.outcome and entry.outcome.expert) or entry.decision.expert


def _answer(entry: LoggedExchange) -> Logged | None:
    outcome, message = entry.outcome, _message(entry.answer)
    if message is None or outcome is None or not _is_of_one(entry):
        return None
    return Logged(
        message,
        outcome.prompt_tokens,
        outcome.completion_tokens,
        outcome.cost_usd,
        outcome.latency_ms,
    )


def _message(answer: Mapping[str, Any] | None) -> Json | None:
    """The message of a recorded chat completion's first choice; None where it has none."""
    choices = answer.get("choices") if answer else None
    return {"role": "assistant", **choices[0]["message"]} if choices else None
