"""A fitted router as files: arrays in safetensors, a card in JSON. No pickles."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from collegium.errors import ArtifactRejected

# scikit-learn takes most of a second to load, which naming a router's folder should not cost:
# `save`, `_estimators` and `_quality` import what they need.
if TYPE_CHECKING:
    from collegium.router.familiarity import Familiarity
    from collegium.router.heads import SkillHead
    from collegium.router.predictors.base import Predictor

Arrays = dict[str, NDArray[Any]]
FORMAT = "collegium-router-2"
BUNDLED = Path(__file__).parent / "weights"
ARRAYS, CARD = "router.safetensors", "card.json"


@dataclass(frozen=True)
class FittedRouter:
    """All that was learnt, for the experts named by `fingerprints`, in this order.

    `tokens` and `milliseconds_per_token` are means by expert and skill, shape (e, skills).
    """

    encoder: str
    fingerprints: tuple[str, ...]
    quality: Predictor
    skills: SkillHead
    familiarity: Familiarity
    tokens: NDArray[np.float64]
    milliseconds_per_token: NDArray[np.float64]
    card: Mapping[str, Any]
    learnt_from: NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, dtype=np.uint64))
    """`prompt_marks` of what it was fitted on, so that nobody judges it by the same prompts."""


def prompt_marks(prompts: Sequence[str]) -> NDArray[np.uint64]:
    """64 bits of each prompt's hash, shape (n,): they tell prompts apart and reveal none."""
    digests = (hashlib.sha256(p.encode(errors="surrogatepass")).digest() for p in prompts)
    return np.array([int.from_bytes(d[:8], "little") for d in digests], dtype=np.uint64)


def save(router: FittedRouter, folder: Path) -> None:
    """Write both files; the card holds the arrays' hash."""
    from safetensors.numpy import save as to_bytes

    from collegium.router.predictors.saving import packed

    folder.mkdir(parents=True, exist_ok=True)
    arrays: Arrays = {}
    quality = packed(router.quality, arrays)
    arrays = {f"{QUALITY}{name}": array for name, array in arrays.items()} | _arrays(router)
    data = to_bytes({name: _compact(array) for name, array in arrays.items()})
    card = {
        "format": FORMAT,
        "encoder": router.encoder,
        "fingerprints": list(router.fingerprints),
        "skills": [str(name) for name in router.skills.classes_],
        "arrays_sha256": hashlib.sha256(data).hexdigest(),
        **{k: v for k, v in router.card.items() if k not in _RESERVED},
        "quality": quality,
    }
    (folder / ARRAYS).write_bytes(data)
    (folder / CARD).write_text(json.dumps(card, indent=2) + "\n")


QUALITY, LEARNT_FROM = "quality.", "learnt_from"
_RESERVED = ("format", "encoder", "fingerprints", "skills", "arrays_sha256", "quality")


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
        return _assembled(card, {name: _wide(array) for name, array in from_bytes(data).items()})
    except (LookupError, TypeError, ValueError, SafetensorError) as exc:
        raise ArtifactRejected(f"the router in {folder} is incomplete: {exc}") from exc


def _arrays(router: FittedRouter) -> Arrays:
    return {
        "skills.coef": router.skills.coef_,
        "skills.intercept": router.skills.intercept_,
        "familiarity.means": router.familiarity.means_,
        "familiarity.precision": router.familiarity.precision_,
        "familiarity.threshold": np.array([router.familiarity.threshold_]),
        "tokens": router.tokens,
        "milliseconds_per_token": router.milliseconds_per_token,
        LEARNT_FROM: router.learnt_from,
    }


def _compact(array: NDArray[Any]) -> NDArray[Any]:
    """Half the file: forecasts change by less than 1e-5."""
    return np.ascontiguousarray(array, np.float32 if array.dtype == np.float64 else array.dtype)


def _wide(array: NDArray[Any]) -> NDArray[Any]:
    return array.astype(np.float64) if array.dtype == np.float32 else array


def _assembled(card: dict[str, Any], arrays: Arrays) -> FittedRouter:
    _check_names([card["encoder"]], card["fingerprints"], card["skills"])
    experts, skills = len(card["fingerprints"]), len(card["skills"])
    dimensions = arrays["familiarity.precision"].shape[-1]
    expected = {
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
    skill_head, familiarity = _estimators(card["skills"], arrays, dimensions)
    return FittedRouter(
        card["encoder"],
        tuple(card["fingerprints"]),
        _quality(card["quality"], arrays, dimensions, experts),
        skill_head,
        familiarity,
        arrays["tokens"],
        arrays["milliseconds_per_token"],
        card,
        arrays.get(LEARNT_FROM, np.zeros(0)).astype(np.uint64),  # older routers do not tell
    )


def _estimators(
    skills: list[str], arrays: Arrays, dimensions: int
) -> tuple[SkillHead, Familiarity]:
    """The head and the detector as they were fitted."""
    from collegium.router.familiarity import Familiarity
    from collegium.router.heads import SkillHead

    skill_head, familiarity = SkillHead(), Familiarity()
    skill_head.coef_, skill_head.intercept_ = arrays["skills.coef"], arrays["skills.intercept"]
    skill_head.classes_ = np.array(skills)
    familiarity.means_ = arrays["familiarity.means"]
    familiarity.precision_ = arrays["familiarity.precision"]
    familiarity.threshold_ = float(arrays["familiarity.threshold"][0])
    familiarity.offset_ = -familiarity.threshold_
    for estimator in (skill_head, familiarity):
        estimator.n_features_in_ = dimensions
    return skill_head, familiarity


def _quality(tree: Any, arrays: Arrays, dimensions: int, experts: int) -> Predictor:
    """The predictor of quality, if it takes and gives as many numbers as the router has."""
    from collegium.router.predictors.saving import unpacked

    own = {k.removeprefix(QUALITY): a for k, a in arrays.items() if k.startswith(QUALITY)}
    quality = unpacked(tree, own)
    if quality.n_features_in_ != dimensions:
        raise ValueError(f"quality reads {quality.n_features_in_} dimensions, not {dimensions}")
    forecast = quality.predict(np.zeros((1, dimensions)))
    if forecast.shape != (1, experts):
        raise ValueError(f"quality forecasts {forecast.shape[-1]} experts, not {experts}")
    return quality


def _check_names(*lists: Any) -> None:
    for names in lists:
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise TypeError(f"{names!r} are not names")
