"""Recorded queries for calibration and others for evaluation, without common texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from collegium.errors import SetupError
from collegium.evals.core.arrays import Bools, Floats
from collegium.evals.core.data import RoutingData
from collegium.evals.formats import load_any
from collegium.evals.routing.embeddings import CachedEncoder, EmbeddingCache
from collegium.evals.routing.encoders import encoder, fitted_on
from collegium.evals.routing.names import ModelNames
from collegium.evals.routing.saved import known_models, new_to, saved_forecasts
from collegium.evals.routing.set_algebra import of_pool, of_rows, put_together
from collegium.evals.training.calibrating import Traffic
from collegium.evals.training.spending import by_chance, held_out, spent
from collegium.router.artifact import FittedRouter
from collegium.settings import Settings


@dataclass(frozen=True)
class RecordedQueries:
    """A set, its costs in the shape of its scores, and which of its queries judge."""

    data: RoutingData
    costs: Floats
    judges: Bools
    two: bool
    """Whether the queries that judge come from a set of their own."""
    dropped: int
    """Queries that are left out because their text is calibrated on, or was learnt from."""


def recorded_queries(
    folders: Sequence[Path], prices: Mapping[str, float], *, seed: int
) -> RecordedQueries:
    """Read one set, of which a part judges, or two: all of the second judges."""
    if len(folders) == 1:
        data = load_any(folders[0])
        judges = held_out(data, seed)
    else:
        data, training, _ = put_together(*map(load_any, folders))
        judges = ~training
    texts = [" ".join(prompt.split()) for prompt in data.prompts]
    known = {text for text, judge in zip(texts, judges, strict=True) if not judge}
    pairs = zip(texts, judges, strict=True)
    kept = np.array([not (judge and text in known) for text, judge in pairs], dtype=bool)
    dropped = int((~kept).sum())
    kept &= np.isfinite(data.scores).any(axis=1)
    costs = spent(data, prices)[kept]
    return RecordedQueries(of_rows(data, kept), costs, judges[kept], len(folders) > 1, dropped)


def plain_traffic(found: RecordedQueries, settings: Settings) -> Traffic:
    """Traffic of which a part is set aside to fit forecasts."""
    X = EmbeddingCache(settings.cache_dir).encode(encoder(settings.encoder), found.data.prompts)
    return Traffic(X, found.data.scores.astype(np.float64), found.costs, found.judges)


def fitted_traffic(
    found: RecordedQueries, fitted: FittedRouter, names: ModelNames, settings: Settings, seed: int
) -> tuple[RecordedQueries, Traffic, tuple[str, ...]]:
    """Queries that a fitted router did not learn from, with its forecasts.

    Of one set a quarter of what is left judges. Also return the models that it does not know.
    """
    columns = known_models(fitted, found.data.models, found.data.name, names)
    new = new_to(fitted, found.data.prompts)
    if not new.any():
        raise SetupError(
            f"the router was fitted on every query of '{found.data.name}': calibrate it on others, "
            "or train it without --all"
        )
    places = [found.data.models.index(model) for model in columns]
    data, costs = of_rows(of_pool(found.data, list(columns)), new), found.costs[new][:, places]
    judges = found.judges[new] if found.two else by_chance(int(new.sum()), seed)
    eyes, cache = fitted_on(fitted.encoder), EmbeddingCache(settings.cache_dir)
    X, known = cache.encode(eyes, data.prompts), list(columns.values())
    reader = CachedEncoder(eyes, cache)
    forecast = saved_forecasts(fitted, known, X, data.prompts, data.signals, reader)
    unknown = tuple(model for model in found.data.models if model not in columns)
    traffic = Traffic(X, data.scores.astype(np.float64), costs, judges, forecast)
    dropped = found.dropped + int((~new).sum())
    return replace(found, data=data, costs=costs, judges=judges, dropped=dropped), traffic, unknown
