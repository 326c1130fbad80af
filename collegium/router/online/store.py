"""A bandit's state: sufficient statistics in safetensors, a card in JSON. No pickles."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collegium.errors import ArtifactRejected
from collegium.router.online.bandit import Bandit, BanditSettings
from collegium.router.online.features import Projection

Array = NDArray[np.float64]
FORMAT = "collegium-bandit-1"


def encoded(bandit: Bandit, experts: Sequence[str]) -> tuple[str, bytes]:
    """The card, which names the experts and holds the arrays' hash, and the arrays."""
    from safetensors.numpy import save as to_bytes

    if len(experts) != len(bandit.quality.moment):
        raise ValueError(f"{len(experts)} names for {len(bandit.quality.moment)} experts")
    data = to_bytes({name: np.ascontiguousarray(a) for name, a in _arrays(bandit).items()})
    card = {
        "format": FORMAT,
        "experts": list(experts),
        "settings": asdict(bandit.settings),
        "arrays_sha256": hashlib.sha256(data).hexdigest(),
    }
    return json.dumps(card), data


def decoded(text: str, data: bytes) -> tuple[Bandit, tuple[str, ...]]:
    """A bandit and its experts' names; ArtifactRejected says what is wrong with it."""
    from safetensors import SafetensorError
    from safetensors.numpy import load as from_bytes

    try:
        card = json.loads(text)
    except ValueError as exc:
        raise ArtifactRejected(f"the bandit's card is not JSON: {exc}") from exc
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        raise ArtifactRejected(f"the card is not that of a {FORMAT} bandit")
    if hashlib.sha256(data).hexdigest() != card.get("arrays_sha256"):
        raise ArtifactRejected("the bandit's arrays are damaged: they do not match its card")
    try:
        return _assembled(card, from_bytes(data))
    except (LookupError, TypeError, ValueError, SafetensorError) as exc:
        raise ArtifactRejected(f"the bandit is incomplete: {exc}") from exc


def _arrays(bandit: Bandit) -> dict[str, Array]:
    return {
        "projection.mean": bandit.projection.mean,
        "projection.components": bandit.projection.components,
        "quality.precision": bandit.quality.precision,
        "quality.moment": bandit.quality.moment,
        "burden.precision": bandit.burden.precision,
        "burden.moment": bandit.burden.moment,
        "caps.mass": bandit.caps.mass,
        "caps.trusted": bandit.caps.trusted,
        "purse.level": np.array([0.0 if bandit.purse is None else bandit.purse.level]),
    }


def _assembled(card: dict[str, Any], arrays: dict[str, Array]) -> tuple[Bandit, tuple[str, ...]]:
    experts = tuple(card["experts"])
    if not all(isinstance(name, str) for name in experts):
        raise TypeError(f"{experts!r} are not names")
    projection = Projection(arrays["projection.mean"], arrays["projection.components"])
    if projection.mean.shape != projection.components.shape[:1]:
        raise ValueError(f"a projection of shape {projection.components.shape} does not fit")
    bandit = Bandit(projection, len(experts), BanditSettings(**card["settings"]))
    for name, expected in _arrays(bandit).items():
        if arrays[name].shape != expected.shape:
            raise ValueError(f"{name} has shape {arrays[name].shape}, expected {expected.shape}")
        if not np.isfinite(arrays[name]).all():
            raise ValueError(f"{name} is not finite")
    for part in ("quality", "burden"):
        residuals = getattr(bandit, part)
        residuals.precision, residuals.moment = (
            arrays[f"{part}.precision"],
            arrays[f"{part}.moment"],
        )
        residuals.refresh()
    bandit.caps.mass, bandit.caps.trusted = arrays["caps.mass"], arrays["caps.trusted"]
    bandit.doubt = bandit.caps.doubt(bandit.settings.contamination)
    if bandit.purse is not None:
        bandit.purse.level = float(arrays["purse.level"][0])
    return bandit, experts
