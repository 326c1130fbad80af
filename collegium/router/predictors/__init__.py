"""Predictors by name: each forecasts P(correct) of every expert from a query's embedding."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from collegium.errors import SetupError
from collegium.router.predictors.base import Predictor
from collegium.router.predictors.knn import Knn, TunedKnn
from collegium.router.predictors.linear import Linear
from collegium.router.predictors.stack import Stack

PREDICTORS: Mapping[str, Callable[[], Predictor]] = MappingProxyType(
    {"knn": Knn, "knn_tuned": TunedKnn, "linear": Linear, "stack": Stack}
)
DEFAULT = "stack"


def predictor(name: str = DEFAULT) -> Predictor:
    """Make the predictor of this name, or say which there are."""
    if name not in PREDICTORS:
        raise SetupError(f"no predictor is called {name!r}; there are {', '.join(PREDICTORS)}")
    return PREDICTORS[name]()
