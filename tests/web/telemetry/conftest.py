"""A service that exports to a collector."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from tests.web.conftest import Serve, Web
from tests.web.telemetry.collector import Collector, collecting

Traced = Callable[..., AbstractAsyncContextManager[Web]]


@pytest.fixture
def collector() -> Iterator[Collector]:
    """Has everything when the service has ended."""
    with collecting() as collector:
        yield collector


@pytest.fixture
def traced(serve: Serve, collector: Collector, monkeypatch: pytest.MonkeyPatch) -> Traced:
    """Make a service whose environment names the collector."""

    def start(**settings: Any) -> AbstractAsyncContextManager[Web]:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        return serve(max_body_mib=31.0, **settings)  # an application of its own

    return start
