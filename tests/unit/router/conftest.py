"""Fitting takes a moment, so that all tests share one fitted router, which nobody changes."""

from __future__ import annotations

import pytest

from collegium.router.artifact import FittedRouter
from tests.unit.router.synthetic import fitted_router


@pytest.fixture(scope="session")
def fitted() -> FittedRouter:
    """A router that was fitted on the small world's outcomes."""
    return fitted_router()
