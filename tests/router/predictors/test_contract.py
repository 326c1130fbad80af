"""The contract: every predictor is a scikit-learn estimator that lives with missing cells."""

from __future__ import annotations

from typing import Any

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from collegium.errors import SetupError
from collegium.router.predictors import DEFAULT, PREDICTORS, predictor


def failing(estimator: Any) -> dict[str, str]:
    """The check that predictors fail on purpose, and why."""
    return {"check_supervised_y_no_nan": "NaN is what nobody measured"}


@parametrize_with_checks(  # type: ignore[untyped-decorator]
    [predictor(name) for name in PREDICTORS], expected_failed_checks=failing
)
def test_they_are_scikit_learn_estimators(estimator: Any, check: Any) -> None:
    """All of scikit-learn's own checks pass, but for one."""
    check(estimator)


def test_an_unknown_predictor_is_refused_with_the_known_names() -> None:
    """Whoever misspells a name learns the right ones."""
    with pytest.raises(SetupError, match="knn_tuned"):
        predictor("oracle")
    assert type(predictor()) is type(predictor(DEFAULT))
