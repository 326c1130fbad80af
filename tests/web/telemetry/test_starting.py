"""What a service says at its start of telemetry that can't be exported."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest

from collegium import extras
from collegium.cli import doctor_command
from collegium.errors import ExtraMissing, SettingsError
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
