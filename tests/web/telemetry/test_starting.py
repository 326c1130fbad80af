"""What a service says at its start of telemetry that can't be exported."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import get_args

import pytest

from collegium import extras
from collegium.cli import doctor_command
from collegium.errors import ExtraMissing, SettingsError
from collegium.telemetry_variables import Signal, exports
from collegium.web.serving.build import telemetry_of
from collegium.web.serving.metrics import Metrics

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


@pytest.fixture
def _without_otel(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is not installed, and a collector is named."""
    missing = "opentelemetry"
    monkeypatch.setattr(
        extras,
        "find_spec",
        lambda name: None if name.startswith(missing) else SimpleNamespace(),
    )
    monkeypatch.setenv(ENDPOINT, "http://127.0.0.1:4318")


@pytest.mark.usefixtures("_without_otel")
def test_a_missing_extra_ends_the_start() -> None:
    """The error names the variable, the packages and the command."""
    with pytest.raises(ExtraMissing) as caught:
        telemetry_of(Metrics())
    for words in (ENDPOINT, "opentelemetry.sdk", 'pip install "collegium[otel]"'):
        assert words in str(caught.value)


@pytest.mark.usefixtures("_without_otel")
@pytest.mark.parametrize("named", [True, False])
def test_the_doctor_fails_where_a_collector_is_named(
    monkeypatch: pytest.MonkeyPatch, named: bool
) -> None:
    """Otherwise the extra is one that may be missing."""
    if not named:
        monkeypatch.delenv(ENDPOINT)
    (finding,) = [finding for finding in doctor_command._extras() if finding.check == "[otel]"]
    assert (finding.ok, finding.needed) == (False, named)
    assert 'pip install "collegium[otel]"' in finding.mend


@pytest.mark.parametrize("signal", ["", "_TRACES", "_METRICS"])
def test_another_protocol_is_refused(monkeypatch: pytest.MonkeyPatch, signal: str) -> None:
    """By name: port 4317 with gRPC is what other exporters have by default."""
    variable = f"OTEL_EXPORTER_OTLP{signal}_PROTOCOL"
    monkeypatch.setenv(ENDPOINT, "http://127.0.0.1:4317")
    monkeypatch.setenv(variable, "grpc")
    with pytest.raises(SettingsError, match=f"{variable}=grpc"):
        telemetry_of(Metrics())


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", "must be a URL"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "collector:4318", "must be a URL"),
        ("OTEL_TRACES_EXPORTER", "jaeger", "only otlp and none"),
        ("OTEL_METRICS_EXPORTER", "prometheus", "only otlp and none"),
        ("OTEL_BSP_SCHEDULE_DELAY", "0", "whole number above 0"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "1.5", "whole number above 0"),
    ],
)
def test_a_value_that_would_be_ignored_is_refused(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, words: str
) -> None:
    """OpenTelemetry itself logs it, or fails at the first export."""
    monkeypatch.setenv(ENDPOINT, "http://127.0.0.1:4318")
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=f"{variable}={value}: .*{words}"):
        telemetry_of(Metrics())


@pytest.mark.parametrize(
    ("variables", "exported"),
    [
        ({}, set()),
        ({ENDPOINT: "http://a:1"}, {"traces", "metrics"}),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://a:1"}, {"metrics"}),
        ({ENDPOINT: "http://a:1", "OTEL_TRACES_EXPORTER": "None"}, {"metrics"}),
        ({ENDPOINT: "http://a:1", "OTEL_SDK_DISABLED": "TRUE"}, set()),
        ({ENDPOINT: "http://a:1", "OTEL_SDK_DISABLED": "no"}, {"traces", "metrics"}),
    ],
)
def test_the_standard_variables_turn_signals_on(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], exported: set[str]
) -> None:
    """Each signal apart; words count in any case."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert {signal for signal in get_args(Signal) if exports(signal)} == exported


def test_nothing_of_it_is_imported_by_default() -> None:
    """Neither our part nor the exporters; redis imports the SDK by itself where it is installed."""
    code = (
        "import sys; from collegium.web.app import create_app; "
        "from collegium.settings import load_settings; "
        "create_app(load_settings(embedded=False)); "
        "print([m for m in sys.modules if 'web.telemetry' in m or 'telemetry.exporter' in m])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert ended.stdout.strip() == "[]"
