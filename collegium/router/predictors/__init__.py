"""Predictors by name: each forecasts P(correct) of every expert from a query's embedding."""

from __future__ import annotations

from collections.abc import Mapping
from pkgutil import resolve_name
from types import MappingProxyType

from collegium.errors import SetupError
from collegium.router.predictors.base import Predictor

PREDICTORS: Mapping[str, str] = MappingProxyType(
    {
        "knn": "knn:Knn",
        "knn_tuned": "knn:TunedKnn",
        "linear": "linear:Linear",
        "logistic": "logistic:Logistic",
        "kernel": "kernel:Kernel",
        "clusters": "clusters:Clusters",
        "matrix_factorisation": "matrix_factorisation:MatrixFactorisation",
        "similarity_ranking": "similarity_ranking:SimilarityRanking",
        "boosting": "boosting:Boosting",
        "item_response": "item_response:ItemResponse",
        "contrastive": "contrastive:Contrastive",
        "domain_table": "domain_table:DomainTable",
        "skills": "skills:Skills",
        "stack": "stack:Stack",
    }
)
"""Each predictor's module in this package, and its class."""
DEFAULT = "stack"


def predictor_class(name: str) -> type[Predictor]:
    """The predictor of this name; SetupError says which there are.

    Its module is imported here: a service needs one predictor, and some load much of scikit-learn.
    """
    if name not in PREDICTORS:
        raise SetupError(f"unknown predictor {name!r}; available: {', '.join(PREDICTORS)}")
    found: type[Predictor] = resolve_name(f"{__name__}.{PREDICTORS[name]}")
    return found


def predictor(name: str = DEFAULT) -> Predictor:
    """Make the predictor of this name with its default parameters."""
    return predictor_class(name)()
