"""Boosting's threads wait busily for one another, too: one is enough for small worlds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sklearn.ensemble  # noqa: F401  only what is loaded can be limited
from threadpoolctl import threadpool_limits


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Beside another busy process, fits took forty times as long with two threads."""
    with threadpool_limits(1, "openmp"):
        yield
