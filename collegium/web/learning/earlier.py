"""Answers that earlier runs paid for, which a new run can reuse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from collegium.registry.learning.runs import LearningAnswer
from collegium.router.forecasting import fingerprint
from collegium.web.learning.lines import Logged, Replayed
from collegium.web.serving.parts import Parts


async def with_earlier(parts: Parts, found: Sequence[Replayed]) -> list[Replayed]:
    """Add the latest answers of earlier runs to the prompts, if the expert is still the same model.

    Answers that a prompt has already, from the log or a file, stay.
    """
    earlier = await parts.learning_runs.answers_to([prompt.digest for prompt in found])
    if not earlier:
        return list(found)
    models = {e.name: fingerprint(e) for e in await parts.catalogue.now()}
    return [_with(prompt, earlier.get(prompt.digest, ()), models) for prompt in found]


def _with(
    prompt: Replayed, answers: Sequence[LearningAnswer], models: Mapping[str, str]
) -> Replayed:
    same = [a for a in answers if models.get(a.expert) == a.fingerprint and a.answer is not None]
    known = {
        a.expert: Logged(
            dict(a.answer or {}),
            a.prompt_tokens,
            a.completion_tokens,
            a.cost_usd,
            a.latency_ms,
            by_run=True,
        )
        for a in same
    }
    return replace(prompt, logged={**known, **prompt.logged}) if known else prompt
