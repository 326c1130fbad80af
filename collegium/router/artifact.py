"""A fitted router as files: arrays in safetensors, a card in JSON. No pickles."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collegium.errors import ArtifactRejected
from collegium.router.familiarity import Familiarity
from collegium.router.heads import QualityHeads, SkillHead

FORMAT = "collegium-router-1"
BUNDLED = Path(__file__).parent / "weights"
ARRAYS, CARD = "router.safetensors", "card.json"


@dataclass(frozen=True)
class FittedRouter:
    """All that was learnt, for the experts named by `fingerprints`, in this order.

    `tokens` and `milliseconds_per_token` are means by expert and skill, shape (e, skills).
    """

    encoder: str
    fingerprints: tuple[str, ...]
    quality: QualityHeads
    skills: SkillHead
    familiarity: Familiarity
    tokens: NDArray[np.float64]
    milliseconds_per_token: NDArray[np.float64]
    card: Mapping[str, Any]


def save(router: FittedRouter, folder: Path) -> None:
    """Write both files; the card holds the arrays' hash."""
    from safetensors.numpy import save as to_bytes

    folder.mkdir(parents=True, exist_ok=True)
    data = to_bytes({name: np.ascontiguousarray(a, np.float32) for name, a in _arrays(router)})
    card = {
        "format": FORMAT,
        "encoder": router.encoder,
        "fingerprints": list(router.fingerprints),
        "skills": [str(name) for name in router.skills.classes_],
        "arrays_sha256": hashlib.sha256(data).hexdigest(),
        **{k: v for k, v in router.card.items() if k not in _RESERVED},
    }
    (folder / ARRAYS).write_bytes(data)
    (folder / CARD).write_text(json.dumps(card, indent=2) + "\n")


_RESERVED = ("format", "encoder", "fingerprints", "skills", "arrays_sha256")


def load(folder: Path = BUNDLED) -> FittedRouter:
    """Read a fitted router; ArtifactRejected says what is wrong with it."""
    from safetensors import SafetensorError
    from safetensors.numpy import load as from_bytes

    try:
        card = json.loads((folder / CARD).read_text())
        data = (folder / ARRAYS).read_bytes()
    except (OSError, ValueError) as exc:
        raise ArtifactRejected(f"no readable router in {folder}: {exc}") from exc
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        raise ArtifactRejected(f"{folder / CARD} is not the card of a {FORMAT} router")
    if hashlib.sha256(data).hexdigest() != card.get("arrays_sha256"):
        raise ArtifactRejected(f"{folder / ARRAYS} is damaged: it does not match its card")
    try:
        return _assembled(card, {k: a.astype(np.float64) for k, a in from_bytes(data).items()})
    except (LookupError, TypeError, ValueError, SafetensorError) as exc:
        raise ArtifactRejected(f"the router in {folder} is incomplete: {exc}") from exc


def _arrays(router: FittedRouter) -> list[tuple[str, NDArray[np.float64]]]:
    return [
        ("quality.coef", router.quality.coef_),
        ("quality.intercept", router.quality.intercept_),
        ("skills.coef", router.skills.coef_),
        ("skills.intercept", router.skills.intercept_),
        ("familiarity.means", router.familiarity.means_),
        ("familiarity.precision", router.familiarity.precision_),
        ("familiarity.threshold", np.array([router.familiarity.threshold_])),
        ("tokens", router.tokens),
        ("milliseconds_per_token", router.milliseconds_per_token),
    ]


def _assembled(card: dict[str, Any], arrays: dict[str, NDArray[np.float64]]) -> FittedRouter:
    _check_names([card["encoder"]], card["fingerprints"], card["skills"])
    experts, skills = len(card["fingerprints"]), len(card["skills"])
    dimensions = arrays["familiarity.precision"].shape[-1]
    expected = {
        "quality.coef": (experts, dimensions),
        "quality.intercept": (experts,),
        "skills.coef": (skills, dimensions),
        "skills.intercept": (skills,),
        "familiarity.means": (skills, dimensions),
        "familiarity.precision": (dimensions, dimensions),
        "familiarity.threshold": (1,),
        "tokens": (experts, skills),
        "milliseconds_per_token": (experts, skills),
    }
    for name, shape in expected.items():
        if arrays[name].shape != shape:
            raise ValueError(f"{name} has shape {arrays[name].shape}, expected {shape}")
        if not np.isfinite(arrays[name]).all():
            raise ValueError(f"{name} is not finite")
    quality, skill_head, familiarity = QualityHeads(), SkillHead(), Familiarity()
    quality.coef_, quality.intercept_ = arrays["quality.coef"], arrays["quality.intercept"]
    quality._single_output_ = False
    skill_head.coef_, skill_head.intercept_ = arrays["skills.coef"], arrays["skills.intercept"]
    skill_head.classes_ = np.array(card["skills"])
    familiarity.means_ = arrays["familiarity.means"]
    familiarity.precision_ = arrays["familiarity.precision"]
    familiarity.threshold_ = float(arrays["familiarity.threshold"][0])
    familiarity.offset_ = -familiarity.threshold_
    for estimator in (quality, skill_head, familiarity):
        estimator.n_features_in_ = dimensions
    return FittedRouter(
        card["encoder"],
        tuple(card["fingerprints"]),
        quality,
        skill_head,
        familiarity,
        arrays["tokens"],
        arrays["milliseconds_per_token"],
        card,
    )


def _check_names(*lists: Any) -> None:
    for names in lists:
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise TypeError(f"{names!r} are not names")
