"""Fitted predictors as files: arrays in safetensors, the rest in a JSON card. No pickles."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from collegium.errors import ArtifactRejected, SetupError
from collegium.router.predictors import PREDICTORS, predictor_class
from collegium.router.predictors.base import Predictor
from collegium.router.predictors.packing import Arrays, pack, unpack

FORMAT = "collegium-predictor-1"
ARRAYS, CARD = "predictor.safetensors", "predictor.json"
NAMES: Mapping[str, str] = {path.partition(":")[2]: name for name, path in PREDICTORS.items()}
"""The built-in predictors by class name: nothing else can be saved or loaded."""


def save(
    predictor: Predictor,
    folder: Path,
    *,
    data_sha256: str | None = None,
    metrics: Mapping[str, float] | None = None,
) -> None:
    """Write both files; the card says on what data the predictor was fitted and how good it is."""
    from safetensors.numpy import save as to_bytes

    arrays: Arrays = {}
    tree = packed(predictor, arrays)
    data = to_bytes(arrays)
    card = {
        "format": FORMAT,
        "class": type(predictor).__name__,
        "params": {name: repr(value) for name, value in predictor.get_params(deep=False).items()},
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "data_sha256": data_sha256,
        "metrics": dict(metrics or {}),
        "versions": _versions(),
        "arrays_sha256": hashlib.sha256(data).hexdigest(),
        "tree_sha256": _hash(tree),
        "tree": tree,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ARRAYS).write_bytes(data)
    (folder / CARD).write_text(json.dumps(card, indent=1, allow_nan=False) + "\n")


def packed(predictor: Predictor, arrays: Arrays) -> Any:
    """The predictor as JSON, with its arrays put into `arrays`."""
    _require_saveable(type(predictor))
    return pack(predictor, arrays)


def require_saveable(name: str) -> None:
    """Raise SetupError if the predictor is unknown or can't be saved once fitted."""
    _require_saveable(predictor_class(name))


def _require_saveable(kind: type[Predictor]) -> None:
    if kind.__name__ not in NAMES or not kind.saveable:
        raise SetupError(
            f"a fitted {kind.__name__} can't be saved: it is not made of arrays alone; "
            f"fit one of {_saveable()} instead"
        )


def load(folder: Path) -> Predictor:
    """Read a fitted predictor; ArtifactRejected says what is wrong with it."""
    from safetensors import SafetensorError
    from safetensors.numpy import load as from_bytes

    card = read_card(folder)
    try:
        data = (folder / ARRAYS).read_bytes()
    except OSError as exc:
        raise ArtifactRejected(f"no readable predictor in {folder}: {exc}") from exc
    if hashlib.sha256(data).hexdigest() != card.get("arrays_sha256"):
        raise ArtifactRejected(f"{folder / ARRAYS} is damaged: it does not match its card")
    if _hash(card.get("tree")) != card.get("tree_sha256"):
        raise ArtifactRejected(f"{folder / CARD} is damaged: its tree does not match its hash")
    try:
        return unpacked(card["tree"], from_bytes(data))
    except (LookupError, TypeError, ValueError, SafetensorError) as exc:
        raise ArtifactRejected(f"the predictor in {folder} is incomplete: {exc}") from exc


def unpacked(tree: Any, arrays: Arrays) -> Predictor:
    """Unpack a predictor and try it on one query; raise ValueError if it can't forecast."""
    predictor = unpack(tree, arrays, _class)
    if not isinstance(predictor, Predictor):
        raise TypeError("the file contains no predictor")
    with np.errstate(all="ignore"):
        forecast = predictor.predict(np.zeros((1, predictor.n_features_in_)))
    if not np.isfinite(forecast).all():
        raise ValueError("its forecasts are not finite")
    return predictor


def _class(name: str) -> type[Predictor]:
    """Return the class that a file names; raise LookupError if files may not name it."""
    if name in NAMES:
        kind = predictor_class(NAMES[name])
        if kind.saveable:
            return kind
    raise LookupError(f"{name!r} is not one of {_saveable()}")


def _saveable() -> str:
    """The classes that are made of arrays alone, for an error message."""
    classes = map(predictor_class, PREDICTORS)
    return ", ".join(sorted(kind.__name__ for kind in classes if kind.saveable))


def read_card(folder: Path) -> dict[str, Any]:
    """The card alone: format, class, parameters, data hash, metrics and versions."""
    try:
        card = json.loads((folder / CARD).read_text())
    except (OSError, ValueError) as exc:
        raise ArtifactRejected(f"no readable predictor in {folder}: {exc}") from exc
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        raise ArtifactRejected(f"{folder / CARD} is not the card of a {FORMAT} predictor")
    return card


def _hash(tree: Any) -> str:
    return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()


def _versions() -> dict[str, str]:
    import sklearn

    import collegium

    return {
        "collegium": collegium.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scikit-learn": sklearn.__version__,
    }
