"""A service whose experts say what they are told to; it starts in seconds, without an engine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.browser.told_server import MODELS
from tests.running_service import RunningService, running_service
from tests.servers import app_server


@contextmanager
def told_service(data_dir: Path, **settings: str) -> Iterator[RunningService]:
    """Start the experts' server and the service; end both afterwards."""
    with (
        app_server("tests.browser.told_server:app") as url,
        running_service(data_dir, COLLEGIUM_EMBEDDED="false", **settings) as service,
    ):
        _register(service, url)
        yield service


def _register(service: RunningService, url: str) -> None:
    with httpx.Client(base_url=service.url, timeout=60) as http:
        for number, name in enumerate(MODELS):
            body: dict[str, Any] = {"name": name, "kind": "openai", "model": name}
            prices = {"input_price": number + 1.0, "output_price": number + 2.0}
            body |= prices | {"base_url": url, "generalist": number == 0}
            body["capabilities"] = {"images": True}  # stated, for the probe is answered in words
            added = http.post("/v1/experts", json=body)
            assert added.status_code == 201, added.text
