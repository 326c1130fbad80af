"""What Prometheus reads."""

from __future__ import annotations

from prometheus_client import generate_latest

from collegium.web.serving.metrics import Metrics


def ready_lines(metrics: Metrics) -> list[str]:
    """The lines about engines, without the comments."""
    lines = generate_latest(metrics.registry).decode().splitlines()
    return [line for line in lines if line.startswith("collegium_engine_ready")]


def test_an_engine_that_is_gone_is_not_one_that_is_down() -> None:
    """Its series ends with it, or an alarm on engines that are down would never end."""
    metrics = Metrics()
    metrics.engines({"embedded": True, "poet": False})
    assert ready_lines(metrics) == [
        'collegium_engine_ready{engine="embedded"} 1.0',
        'collegium_engine_ready{engine="poet"} 0.0',
    ]
    metrics.engines({"embedded": True})
    assert ready_lines(metrics) == ['collegium_engine_ready{engine="embedded"} 1.0']


def test_detours_are_counted_however_often_somebody_reads() -> None:
    """The database has the total; the counter only grows."""
    metrics = Metrics()
    for total in (2, 2, 5):
        metrics.database(total)
    page = generate_latest(metrics.registry).decode()
    assert "collegium_database_detours_total 5.0" in page.splitlines()
