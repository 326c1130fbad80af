"""The client metrics of OpenTelemetry's conventions for generative AI.

https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from collegium.experts.clients.reply import Call
from collegium.web.telemetry.attributes import Value, operation_of, provider_of

SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
TOKENS = tuple(float(4**n) for n in range(14))
"""The buckets that the conventions recommend."""


class Instruments:
    """Histograms of the duration and tokens of attempts."""

    def __init__(self, meter: Meter) -> None:
        self._duration = meter.create_histogram(
            "gen_ai.client.operation.duration",
            "s",
            "Time of one attempt",
            explicit_bucket_boundaries_advisory=SECONDS,
        )
        self._first = meter.create_histogram(
            "gen_ai.client.operation.time_to_first_chunk",
            "s",
            "Time to the first chunk of a stream",
            explicit_bucket_boundaries_advisory=SECONDS,
        )
        self._tokens = meter.create_histogram(
            "gen_ai.client.token.usage",
            "{token}",
            "Tokens of one attempt",
            explicit_bucket_boundaries_advisory=TOKENS,
        )
        self._began = time.monotonic()
        meter.create_observable_gauge(
            "process.uptime", [self._uptime], "s", "Time since the service started"
        )

    def asked(
        self, call: Call, found: Mapping[str, Any], *, took_s: float, error: str | None
    ) -> None:
        """Record an attempt that has ended; `found` are the attributes of its reply."""
        labels: dict[str, Value] = {
            "gen_ai.operation.name": operation_of(call),
            "gen_ai.provider.name": provider_of(call.expert),
            "gen_ai.request.model": call.expert.model,
        }
        if error is not None:
            labels["error.type"] = error
        self._duration.record(took_s, labels)
        if (first_s := found.get("gen_ai.response.time_to_first_chunk")) is not None:
            self._first.record(first_s, labels)
        for kind in ("input", "output"):
            if (count := found.get(f"gen_ai.usage.{kind}_tokens")) is not None:
                self._tokens.record(count, {**labels, "gen_ai.token.type": kind})

    def _uptime(self, _: CallbackOptions) -> Iterable[Observation]:
        return [Observation(time.monotonic() - self._began)]
