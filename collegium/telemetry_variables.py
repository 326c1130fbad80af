"""OpenTelemetry's standard variables, which turn the export of traces and metrics on."""

from __future__ import annotations

import os
import re
from typing import Literal

from collegium.errors import SettingsError

COLLECTOR = "OTEL_EXPORTER_OTLP_ENDPOINT"
Signal = Literal["traces", "metrics"]
NUMBERS = (
    "OTEL_METRIC_EXPORT_INTERVAL",
    "OTEL_METRIC_EXPORT_TIMEOUT",
    "OTEL_BSP_MAX_QUEUE_SIZE",
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
    "OTEL_BSP_SCHEDULE_DELAY",
    "OTEL_BSP_EXPORT_TIMEOUT",
    "OTEL_EXPORTER_OTLP_TIMEOUT",
)


def exports(signal: Signal) -> bool:
    """Whether OpenTelemetry's standard variables name a collector for a signal."""
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    of_signal = signal.upper()
    if os.environ.get(f"OTEL_{of_signal}_EXPORTER", "").strip().lower() == "none":
        return False
    names = (COLLECTOR, f"OTEL_EXPORTER_OTLP_{of_signal}_ENDPOINT")
    return any(os.environ.get(name) for name in names)


def require_telemetry() -> None:
    """Raise SettingsError if a variable has a value that is not supported."""
    for name in ("", "_TRACES", "_METRICS"):
        variable = f"OTEL_EXPORTER_OTLP{name}_PROTOCOL"
        if (protocol := os.environ.get(variable)) not in (None, "", "http/protobuf"):
            raise SettingsError(f"{variable}={protocol}: telemetry is sent by http/protobuf only")
        variable = f"OTEL_EXPORTER_OTLP{name}_ENDPOINT"
        url = os.environ.get(variable, "")
        if url and not url.startswith(("http://", "https://")):
            raise SettingsError(f"{variable}={url}: it must be a URL such as http://127.0.0.1:4318")
    for variable in ("OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER"):
        if (exporter := os.environ.get(variable, "otlp")) not in ("", "otlp", "none"):
            raise SettingsError(f"{variable}={exporter}: only otlp and none are supported")
    for variable in NUMBERS:
        if (number := os.environ.get(variable)) and not re.fullmatch(r"[1-9]\d{0,8}", number):
            raise SettingsError(f"{variable}={number}: it must be a whole number above 0")
