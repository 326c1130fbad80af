"""Fitting takes a moment, so that all tests share one fitted router, which nobody changes."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

from collegium.router.artifact import FittedRouter
from tests.router.desk import Desk
from tests.router.synthetic import fitted_router

# A busy machine is slow, which is no bug; examples are not kept in the working folder.
settings.register_profile(
    "collegium", deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("collegium")


@pytest.fixture(scope="session")
def fitted() -> FittedRouter:
    """A router that was fitted on the small world's outcomes."""
    return fitted_router()


@pytest.fixture
def desk(fitted: FittedRouter) -> Desk:
    """A desk with the fitted router."""
    return Desk(fitted)
