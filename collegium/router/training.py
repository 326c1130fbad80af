"""Fit a router on measured outcomes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collegium.experts.clients.counting import estimated_tokens
from collegium.registry.application import Application
from collegium.router.applications.resolver import applications_of
from collegium.router.applications.signals import Signals
from collegium.router.artifact import FittedRouter, prompt_marks
from collegium.router.beliefs.beliefs import Beliefs, Progress
from collegium.router.costs import DEFAULT_MS_PER_TOKEN, DEFAULT_TOKENS
from collegium.router.heads import SkillHead
from collegium.router.predictors import predictor
from collegium.router.vectors import Encoder

Array = NDArray[np.float64]
PULL = 6.0
"""Answers of an expert's mean length that each application starts with."""


@dataclass(frozen=True)
class Measured:
    """Outcomes of `fingerprints` (e) on `prompts` (n).

    `scores`, `tokens` and `latency_s` have shape (n, e), NaN where nothing was measured; so have
    `prompt_tokens` and `cost_usd` where they are known at all. `groups` names what must stay
    together in cross-validation, such as the phrasing; `signals` (n) tell the application.
    """

    prompts: Sequence[str]
    skills: Sequence[str]
    groups: Sequence[str]
    fingerprints: Sequence[str]
    scores: Array
    tokens: Array
    latency_s: Array
    signals: Sequence[Signals] | None = None
    prompt_tokens: Array | None = None
    cost_usd: Array | None = None


def fit_router(
    measured: Measured,
    encoder: Encoder,
    *,
    quality: str | None = None,
    progress: Progress | None = None,
) -> FittedRouter:
    """Fit every part; the card reports calibration on prompts left out of the fit.

    `quality` names one predictor of a query's outcomes in place of the default ones; `progress` is
    told the share of the fit that is done.
    """
    measured = _of_marked_experts(measured)
    X = encoder.encode(measured.prompts).astype(np.float64)
    skills = np.asarray(measured.skills)
    believed = fit_beliefs(
        X,
        measured.scores,
        measured.signals,
        encoder,
        quality=quality,
        labels=measured.skills,
        groups=measured.groups,
        progress=progress,
    )
    beliefs, keys = believed.beliefs, believed.keys
    head = SkillHead().fit(X, skills)
    per_token = 1000 * measured.latency_s / np.maximum(measured.tokens, 1)
    return FittedRouter(
        encoder.name,
        tuple(measured.fingerprints),
        beliefs,
        head,
        _means(measured.tokens, skills, head.classes_, DEFAULT_TOKENS),
        _means(per_token, skills, head.classes_, DEFAULT_MS_PER_TOKEN),
        _by_application(measured.tokens, keys, beliefs.applications_),
        _held_tokens(measured, keys, beliefs.applications_),
        _card(measured, beliefs),
        believed.applications,
        prompt_marks(measured.prompts),
    )


@dataclass(frozen=True)
class Believed:
    """Beliefs, the applications that their marks are of, and each mark's application."""

    beliefs: Beliefs
    applications: tuple[Application, ...]
    keys: list[str | None]


def fit_beliefs(
    X: Array,
    scores: Array,
    signals: Sequence[Signals] | None,
    encoder: Encoder,
    *,
    labels: Sequence[str],
    groups: Sequence[str],
    quality: str | None = None,
    progress: Progress | None = None,
) -> Believed:
    """Tell the applications of the marks (n, e) apart, and learn from both.

    `X` (n, d) are the prompts' embeddings; `encoder` embeds what an application's requests share.
    """
    keys: list[str | None] = [None] * len(X)
    applications: tuple[Application, ...] = ()
    if signals is not None:
        keys, applications = applications_of(signals)
    beliefs = Beliefs(None if quality is None else [predictor(quality)]).fit(
        X,
        scores,
        keys,
        context=_contexts(applications, encoder),
        labels=labels,
        groups=groups,
        progress=progress,
    )
    return Believed(beliefs, applications, keys)


def _of_marked_experts(measured: Measured) -> Measured:
    """Drop experts without marks, which the router will not know."""
    marked = np.flatnonzero(~np.isnan(measured.scores).all(axis=0))
    if len(marked) == measured.scores.shape[1]:
        return measured
    tables = ("scores", "tokens", "latency_s", "prompt_tokens", "cost_usd")
    kept = {name: getattr(measured, name) for name in tables}
    kept = {name: None if table is None else table[:, marked] for name, table in kept.items()}
    return replace(measured, fingerprints=[measured.fingerprints[i] for i in marked], **kept)


def _contexts(applications: Sequence[Application], encoder: Encoder) -> dict[str, Array]:
    """Embeddings of what the applications' requests have in common, by key."""
    told = [application for application in applications if application.text]
    if not told:
        return {}
    rows = encoder.encode([application.text for application in told]).astype(np.float64)
    return {application.key: row for application, row in zip(told, rows, strict=True)}


def _prompt_tokens(measured: Measured) -> Array:
    """Return the tokens of each prompt: the mean count, or an estimate."""
    estimate = np.array([estimated_tokens(p) for p in measured.prompts], dtype=np.float64)
    if measured.prompt_tokens is None:
        return estimate
    seen = ~np.isnan(measured.prompt_tokens)
    counted = np.where(seen, measured.prompt_tokens, 0.0).sum(axis=1)
    return np.where(seen.any(axis=1), counted / np.maximum(seen.sum(axis=1), 1), estimate)


def _means(values: Array, skills: Any, classes: Any, usual: float) -> Array:
    """Mean by expert and skill, shape (e, skills); unmeasured cells get the overall mean.

    Where nothing at all was measured they get `usual`.
    """
    means = np.full((values.shape[1], len(classes)), np.nan)
    for k, skill in enumerate(classes):
        rows = values[skills == skill]
        seen = ~np.isnan(rows)
        means[:, k] = np.where(
            seen.any(axis=0), np.nansum(rows, axis=0) / np.maximum(seen.sum(axis=0), 1), np.nan
        )
    measured = values[~np.isnan(values)]
    return np.where(np.isnan(means), measured.mean() if len(measured) else usual, means)


def _by_application(tokens: Array, keys: Sequence[str | None], names: Sequence[str]) -> Array:
    """Mean tokens by application and expert, pulled toward the expert's mean, shape (a, e)."""
    seen = ~np.isnan(tokens)
    filled = np.where(seen, tokens, 0.0)
    usual = np.where(seen.any(axis=0), filled.sum(axis=0) / np.maximum(seen.sum(axis=0), 1), np.nan)
    known = usual[~np.isnan(usual)]
    usual = np.where(np.isnan(usual), known.mean() if len(known) else DEFAULT_TOKENS, usual)
    number = {name: i for i, name in enumerate(names)}
    rows = np.array([-1 if k is None else number[k] for k in keys], dtype=np.intp)
    total, count = np.zeros((len(names), len(usual))), np.zeros((len(names), len(usual)))
    np.add.at(total, rows[rows >= 0], filled[rows >= 0])
    np.add.at(count, rows[rows >= 0], seen[rows >= 0].astype(np.float64))
    return np.asarray((total + PULL * usual) / (count + PULL))


def _held_tokens(measured: Measured, keys: Sequence[str | None], names: Sequence[str]) -> Array:
    """Tokens of each marked prompt, and those that are expected of its answers, (n, 1 + e)."""
    rows = [*names, ""]  # those without an application come last
    number = {name: i for i, name in enumerate(rows)}
    table = _by_application(measured.tokens, [key or "" for key in keys], rows)
    expected = table[[number[key or ""] for key in keys]]
    return np.column_stack([_prompt_tokens(measured), expected])


def _card(measured: Measured, beliefs: Beliefs) -> dict[str, Any]:
    forecasts = beliefs.held_.quality
    seen = ~np.isnan(measured.scores)
    text = "\n".join(measured.prompts) + np.array2string(measured.scores, threshold=10**9)
    return {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "prompts": len(measured.prompts),
        "marks": int(seen.sum()),
        "data_sha256": hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest(),
        "left_out_phrasings": {
            "brier": round(float(np.mean((forecasts[seen] - measured.scores[seen]) ** 2)), 4),
            "ece": round(expected_calibration_error(forecasts[seen], measured.scores[seen]), 4),
        },
    }


def expected_calibration_error(forecast: Array, outcome: Array, bins: int = 10) -> float:
    """ECE with bins of equal mass (Naeini et al., AAAI 2015; Nguyen and O'Connor, EMNLP 2015)."""
    order = np.argsort(forecast, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    gaps = [len(part) * abs(forecast[part].mean() - outcome[part].mean()) for part in parts]
    return float(sum(gaps) / len(forecast))
