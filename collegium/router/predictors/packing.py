"""Convert an estimator to a tree of JSON values and a table of arrays, and back."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collegium.router.predictors.base import Predictor

Arrays = dict[str, NDArray[Any]]
FindClass = Callable[[str], type[Predictor]]
"""Returns the predictor class of a name in a file; raises LookupError if it isn't ours."""
EVERYBODY = ("single_output_", "n_features_in_")  # what each fitted predictor has


def pack(value: Any, arrays: Arrays) -> Any:
    """JSON for a parameter or a learnt attribute; arrays go to `arrays` under a new name."""
    if isinstance(value, Predictor):
        names = (*EVERYBODY, *type(value).state) if hasattr(value, "n_features_in_") else ()
        return {
            "estimator": type(value).__name__,
            "params": _pack_all(value.get_params(deep=False), arrays),
            "state": _pack_all({name: getattr(value, name) for name in names}, arrays),
        }
    if isinstance(value, np.ndarray):
        name = f"a{len(arrays)}"
        arrays[name] = np.ascontiguousarray(value)
        return {"array": name}
    if isinstance(value, list | tuple):
        return {type(value).__name__: [pack(item, arrays) for item in value]}
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else {"float": str(float(value))}
    if value is None or isinstance(value, bool | str | int):
        return value
    if isinstance(value, np.integer):
        return int(value)
    raise TypeError(f"a {type(value).__name__} can't be saved")


def _pack_all(values: Mapping[str, Any], arrays: Arrays) -> dict[str, Any]:
    return {name: pack(value, arrays) for name, value in values.items()}


def unpack(tree: Any, arrays: Arrays, class_of: FindClass) -> Any:
    """Unpack; raise LookupError, TypeError or ValueError for an invalid tree."""
    if not isinstance(tree, dict):
        return tree
    if "estimator" in tree:
        return _estimator(tree, arrays, class_of)
    if len(tree) != 1:
        raise ValueError(f"{sorted(tree)} is not a value")
    kind, content = next(iter(tree.items()))
    if kind == "array":
        return arrays[content]
    if kind == "float":
        return float(content)
    if kind in ("list", "tuple"):
        items = [unpack(item, arrays, class_of) for item in content]
        return items if kind == "list" else tuple(items)
    raise ValueError(f"{kind!r} is not a kind of value")


def _estimator(tree: Any, arrays: Arrays, class_of: FindClass) -> Predictor:
    name = tree["estimator"]
    kind = class_of(name)
    params = {key: unpack(value, arrays, class_of) for key, value in tree["params"].items()}
    predictor = kind(**params)
    if not tree["state"]:
        return predictor
    expected = {*EVERYBODY, *kind.state}
    if set(tree["state"]) != expected:
        different = ", ".join(sorted(set(tree["state"]) ^ expected))
        raise LookupError(f"{name} has unexpected attributes: {different}")
    for key, value in tree["state"].items():
        setattr(predictor, key, unpack(value, arrays, class_of))
    return predictor
