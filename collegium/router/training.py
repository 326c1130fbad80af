"""Fit a router on measured outcomes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold

from collegium.router.applications.signals import Signals
from collegium.router.artifact import FittedRouter, prompt_marks
from collegium.router.costs import DEFAULT_MS_PER_TOKEN, DEFAULT_TOKENS
from collegium.router.familiarity import Familiarity
from collegium.router.heads import SkillHead
from collegium.router.predictors import predictor
from collegium.router.vectors import Encoder

Array = NDArray[np.float64]


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


def fit_router(measured: Measured, background: Sequence[str], encoder: Encoder) -> FittedRouter:
    """Fit every part; the card reports calibration on phrasings left out of the fit."""
    X = encoder.encode(measured.prompts).astype(np.float64)
    far = encoder.encode(background).astype(np.float64) if background else None
    skills, groups = np.asarray(measured.skills), np.asarray(measured.groups)
    head = SkillHead().fit(X, skills)
    quality = predictor().fit(X, measured.scores, labels=skills, groups=groups)
    familiarity = Familiarity().fit(X, skills, background=far)
    per_token = 1000 * measured.latency_s / np.maximum(measured.tokens, 1)
    return FittedRouter(
        encoder.name,
        tuple(measured.fingerprints),
        quality,
        head,
        familiarity,
        _means(measured.tokens, skills, head.classes_, DEFAULT_TOKENS),
        _means(per_token, skills, head.classes_, DEFAULT_MS_PER_TOKEN),
        _card(measured, background, X, skills, groups),
        prompt_marks(measured.prompts),
    )


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


def _card(
    measured: Measured, background: Sequence[str], X: Array, skills: Any, groups: Any
) -> dict[str, Any]:
    forecasts = out_of_fold(X, measured.scores, skills, groups)
    seen = ~np.isnan(measured.scores)
    text = "\n".join(measured.prompts) + np.array2string(measured.scores, threshold=10**9)
    return {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "prompts": len(measured.prompts),
        "background_prompts": len(background),
        "data_sha256": hashlib.sha256(text.encode()).hexdigest(),
        "left_out_phrasings": {
            "brier": round(float(np.mean((forecasts[seen] - measured.scores[seen]) ** 2)), 4),
            "ece": round(expected_calibration_error(forecasts[seen], measured.scores[seen]), 4),
        },
    }


def out_of_fold(X: Array, scores: Array, skills: Any, groups: Any, folds: int = 5) -> Array:
    """Forecasts for each query by a predictor that saw none of its group, shape (n, e)."""
    forecasts = np.zeros_like(scores)
    if len(np.unique(groups)) < 2:
        groups = np.arange(len(X))  # nothing to keep apart but the queries
    folds = min(folds, len(np.unique(groups)))
    for kept, left in GroupKFold(folds).split(X, groups=groups):
        quality = predictor().fit(X[kept], scores[kept], labels=skills[kept], groups=groups[kept])
        forecasts[left] = quality.predict(X[left])
    return forecasts


def expected_calibration_error(forecast: Array, outcome: Array, bins: int = 10) -> float:
    """ECE with bins of equal mass (Naeini et al., AAAI 2015; Nguyen and O'Connor, EMNLP 2015)."""
    order = np.argsort(forecast, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    gaps = [len(part) * abs(forecast[part].mean() - outcome[part].mean()) for part in parts]
    return float(sum(gaps) / len(forecast))
