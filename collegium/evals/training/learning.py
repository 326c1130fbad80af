"""Training data for a router besides the live pool: recorded sets and rated decisions."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from collegium.errors import SetupError
from collegium.evals.core.arrays import Bools, Floats
from collegium.evals.core.signals import SILENT
from collegium.evals.formats import load_any
from collegium.evals.routing import labels as label
from collegium.evals.routing.costs import CHARACTERS_A_TOKEN
from collegium.evals.routing.names import ModelNames
from collegium.evals.routing.problem import task_names, training_part, with_outcomes
from collegium.evals.routing.set_algebra import of_pool
from collegium.registry.decisions.log import LoggedDecision
from collegium.router.forecasting import named
from collegium.router.training import Measured

NO_NAMES = ModelNames()
FEWEST_PROMPTS = 10
"""Fewer prompts can't be split to say how well a router does on others."""
FEWEST = 20
"""Fewer rated decisions tell next to nothing of any expert."""


def recorded_set(
    folder: Path,
    *,
    pool: Sequence[str] = (),
    seed: int = 0,
    whole: bool = False,
    names: ModelNames = NO_NAMES,
) -> Measured:
    """A set's training part, or with `whole` every prompt; `names` says whose its outcomes are."""
    data = of_pool(load_any(folder), pool)
    measured: Bools = np.asarray(np.isfinite(data.scores).any(axis=1))
    learnt = measured if whole else measured & training_part(data, seed)
    data, _ = with_outcomes(data, learnt)
    rows, extras, unknown = np.flatnonzero(learnt), data.extras, np.full(data.scores.shape, np.nan)
    tasks = task_names(data.labels, len(data.prompts))
    families = label.families(data.prompts, label.originals(data.labels, data.prompt_ids))
    return Measured(
        prompts=[data.prompts[row] for row in rows],
        skills=[tasks[row] for row in rows],
        groups=[str(families[row]) for row in rows],
        fingerprints=names.outcomes_of(data.models),
        scores=data.scores[rows],
        tokens=_written(extras, unknown)[rows],
        latency_s=extras.get("latency_s", unknown)[rows],
        signals=[data.signals[row] for row in rows],
        prompt_tokens=extras["in_tokens"][rows] if "in_tokens" in extras else None,
        cost_usd=extras["cost_usd"][rows] if "cost_usd" in extras else None,
    )


def _written(extras: Mapping[str, Floats], unknown: Floats) -> Floats:
    characters = extras.get("response_chars", unknown) / CHARACTERS_A_TOKEN
    return np.asarray(extras.get("out_tokens", characters))


def rated(log: Sequence[LoggedDecision]) -> tuple[LoggedDecision, ...]:
    """The decisions that a router can learn from: of one expert, with a prompt, and rated."""
    rows = tuple(e for e in log if e.scores and e.decision.prompt and not is_panel(e))
    if len(rows) < FEWEST:
        raise SetupError(
            f"{len(rows)} recorded decisions have a prompt and a rating; at least {FEWEST} are "
            "needed: send POST /v1/feedback, and set `record` to `prompts` or `full`"
        )
    return rows


def rated_decisions(
    rows: Sequence[LoggedDecision], skills: Sequence[str], fingerprints: Mapping[str, str]
) -> Measured:
    """Rated decisions (n) as outcomes; `skills` (n) says what each query asks for.

    Only the expert that answered has a score: the mean of its verdicts. The others' cells are
    unmeasured, which predictors take for what it is. `fingerprints` are those of the registered
    experts by name; outcomes of one that is gone are known by its name.
    """
    experts = sorted({entry.answered_by for entry in rows})
    column = {name: i for i, name in enumerate(experts)}
    values = np.full((5, len(rows), len(experts)), np.nan)
    for i, entry in enumerate(rows):
        values[:, i, column[entry.answered_by]] = _outcome(entry)
    scores, tokens, latency_s, prompt_tokens, cost_usd = values
    return Measured(
        prompts=[str(entry.decision.prompt) for entry in rows],
        skills=list(skills),
        groups=[entry.decision.session or entry.decision.id for entry in rows],
        fingerprints=[fingerprints.get(name, named(name)) for name in experts],
        scores=scores,
        tokens=tokens,
        latency_s=latency_s,
        prompt_tokens=prompt_tokens,
        cost_usd=cost_usd,
    )


def joined(parts: Sequence[Measured]) -> Measured:
    """Several sets under one another; an expert that only some of them know has gaps."""
    if (count := sum(len(part.prompts) for part in parts)) < FEWEST_PROMPTS:
        raise SetupError(
            f"{count} prompts with outcomes are there to learn from; at least {FEWEST_PROMPTS} are "
            "needed (--all learns from a set's test part as well)"
        )
    names = list(dict.fromkeys(name for part in parts for name in part.fingerprints))

    def table(field: str) -> Floats:
        blocks = []
        for part in parts:
            block = np.full((len(part.prompts), len(names)), np.nan)
            if (values := getattr(part, field)) is not None:
                block[:, [names.index(name) for name in part.fingerprints]] = values
            blocks.append(block)
        return np.vstack(blocks)

    def known(field: str) -> Floats | None:
        return None if all(getattr(part, field) is None for part in parts) else table(field)

    signals = [part.signals or [SILENT] * len(part.prompts) for part in parts]

    return Measured(
        prompts=[prompt for part in parts for prompt in part.prompts],
        skills=[skill for part in parts for skill in part.skills],
        groups=[f"{i} {group}" for i, part in enumerate(parts) for group in part.groups],
        fingerprints=names,
        scores=table("scores"),
        tokens=table("tokens"),
        latency_s=table("latency_s"),
        signals=[each for part in signals for each in part],
        prompt_tokens=known("prompt_tokens"),
        cost_usd=known("cost_usd"),
    )


def is_panel(entry: LoggedDecision) -> bool:
    """Whether several experts produced the answer, so that its rating belongs to none of them."""
    return entry.outcome is not None and bool(entry.outcome.calls)


def verdict_score(entry: LoggedDecision) -> float:
    """The mean of a rated decision's scores, in [0, 1]."""
    return float(np.mean(entry.scores))


def _outcome(entry: LoggedDecision) -> tuple[float, ...]:
    """Return score, tokens written, seconds, tokens read and dollars, NaN if unmeasured."""
    score, outcome = verdict_score(entry), entry.outcome
    if outcome is None or outcome.status != "ok" or not outcome.completion_tokens:
        return score, np.nan, np.nan, np.nan, np.nan
    measured = (outcome.latency_ms, outcome.prompt_tokens, outcome.cost_usd)
    latency_ms, read, cost = (np.nan if value is None else float(value) for value in measured)
    return score, outcome.completion_tokens, latency_ms / 1000, read, cost
