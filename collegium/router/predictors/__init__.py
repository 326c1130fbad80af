"""Predictors by name: each forecasts P(correct) of every expert from a query's embedding."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from collegium.errors import SetupError
from collegium.router.predictors.base import Predictor
from collegium.router.predictors.boosting import Boosting
from collegium.router.predictors.clusters import Clusters
from collegium.router.predictors.contrastive import Contrastive
from collegium.router.predictors.domain_table import DomainTable
from collegium.router.predictors.item_response import ItemResponse
from collegium.router.predictors.kernel import Kernel
from collegium.router.predictors.knn import Knn, TunedKnn
from collegium.router.predictors.linear import Linear
from collegium.router.predictors.logistic import Logistic
from collegium.router.predictors.matrix_factorisation import MatrixFactorisation
from collegium.router.predictors.similarity_ranking import SimilarityRanking
from collegium.router.predictors.skills import Skills
from collegium.router.predictors.stack import Stack

PREDICTORS: Mapping[str, Callable[[], Predictor]] = MappingProxyType(
    {
        "knn": Knn,
        "knn_tuned": TunedKnn,
        "linear": Linear,
        "logistic": Logistic,
        "kernel": Kernel,
        "clusters": Clusters,
        "matrix_factorisation": MatrixFactorisation,
        "similarity_ranking": SimilarityRanking,
        "boosting": Boosting,
        "item_response": ItemResponse,
        "contrastive": Contrastive,
        "domain_table": DomainTable,
        "skills": Skills,
        "stack": Stack,
    }
)
DEFAULT = "stack"


def predictor(name: str = DEFAULT) -> Predictor:
    """Make the predictor of this name, or say which there are."""
    if name not in PREDICTORS:
        raise SetupError(f"no predictor is called {name!r}; there are {', '.join(PREDICTORS)}")
    return PREDICTORS[name]()
