"""Save beliefs as arrays and JSON, and load them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from collegium.router.beliefs.application_table import arrays_of, table_of
from collegium.router.beliefs.beliefs import SETTINGS, Beliefs, Held
from collegium.router.beliefs.evidence import Evidence
from collegium.router.beliefs.features import Features
from collegium.router.predictors.saving import packed, unpacked

Arrays = dict[str, NDArray[Any]]


def pack_beliefs(beliefs: Beliefs, arrays: Arrays) -> dict[str, Any]:
    """The beliefs as JSON, with their arrays put into `arrays`."""
    found: Arrays = {f"table.{name}": a for name, a in arrays_of(beliefs.table_).items()}
    found |= {
        "rates": beliefs.rates_,
        "evidence.marked": beliefs.evidence_.marked_,
        "evidence.own": beliefs.evidence_.own_,
        "evidence.scale": beliefs.evidence_.scale_,
        "features.middle": beliefs.features_.middle_,
        "features.axes": beliefs.features_.axes_,
        "features.context_middle": beliefs.features_.context_middle_,
        "features.context_axes": beliefs.features_.context_axes_,
        "held.quality": beliefs.held_.quality,
        "held.scores": beliefs.held_.scores,
    }
    for setting in SETTINGS:
        found[f"weights.{setting}"] = np.stack(beliefs.weights_[setting])
    arrays |= {f"beliefs.{name}": array for name, array in found.items()}
    bases = []
    for i, base in enumerate(beliefs.bases_):
        own: Arrays = {}
        bases.append(packed(base, own))
        arrays |= {f"base{i}.{name}": array for name, array in own.items()}
    return {"applications": list(beliefs.applications_), "bases": bases}


def unpack_beliefs(tree: Any, arrays: Arrays) -> Beliefs:
    """Load beliefs; raise LookupError, TypeError or ValueError if the parts don't fit together."""
    own = _under("beliefs.", arrays)
    beliefs = Beliefs()
    beliefs.applications_ = _names(tree["applications"])
    beliefs.rates_ = own["rates"]
    beliefs.evidence_ = Evidence()
    beliefs.evidence_.marked_ = own["evidence.marked"].astype(np.float32)
    beliefs.evidence_.own_ = own["evidence.own"]
    beliefs.evidence_.scale_ = own["evidence.scale"]
    beliefs.features_ = Features()
    beliefs.features_.middle_ = own["features.middle"]
    beliefs.features_.axes_ = own["features.axes"]
    beliefs.features_.context_middle_ = own["features.context_middle"]
    beliefs.features_.context_axes_ = own["features.context_axes"]
    beliefs.held_ = Held(own["held.quality"], own["held.scores"])
    beliefs.weights_ = {s: (w[0], w[1]) for s in SETTINGS for w in [own[f"weights.{s}"]]}
    beliefs.table_ = table_of(_under("table.", own))
    beliefs.bases_ = [
        unpacked(base, _under(f"base{i}.", arrays)) for i, base in enumerate(tree["bases"])
    ]
    _check(beliefs)
    return beliefs


def _under(prefix: str, arrays: Arrays) -> Arrays:
    return {k.removeprefix(prefix): a for k, a in arrays.items() if k.startswith(prefix)}


def _names(names: Any) -> tuple[str, ...]:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"{names!r} are not names of applications")
    return tuple(names)


def _check(beliefs: Beliefs) -> None:
    """Forecast a query of each setting: arrays that do not fit raise, or are not finite."""
    held, experts = beliefs.held_, len(beliefs.rates_)
    if held.quality.shape != held.scores.shape or held.quality.shape[1:] != (experts,):
        raise ValueError("the forecasts of the marked queries are not those of the experts")
    query = np.zeros((2, len(beliefs.features_.middle_)))
    known = beliefs.applications_[0] if beliefs.applications_ else "nobody"
    found = beliefs.forecast(query, [known, None])
    if found.quality.shape != (2, experts) or not np.isfinite(found.quality).all():
        raise ValueError("the beliefs' arrays do not fit together")
