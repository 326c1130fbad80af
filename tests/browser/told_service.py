"""A service whose experts say what they are told to; it starts in seconds, without an engine."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.browser.told_server import MODELS
from tests.running_service import RunningService, running_service
from tests.servers import free_port


@contextmanager
def told_service(data_dir: Path, **settings: str) -> Iterator[RunningService]:
    """Start the experts' server and the service; end both afterwards."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "tests.browser.told_server:app"]
    server = subprocess.Popen([*command, "--port", str(port), "--log-level", "warning"])
    try:
        with running_service(data_dir, COLLEGIUM_EMBEDDED="false", **settings) as service:
            _register(service, f"http://127.0.0.1:{port}")
            yield service
    finally:
        server.terminate()
        server.wait()


def _register(service: RunningService, url: str) -> None:
    patience = time.monotonic() + 60
    with httpx.Client(base_url=service.url, timeout=60) as http:
        for number, name in enumerate(MODELS):
            body: dict[str, Any] = {"name": name, "kind": "openai", "model": name}
            prices = {"input_price": number + 1.0, "output_price": number + 2.0}
            body |= prices | {"base_url": f"{url}/v1", "generalist": number == 0}
            body["capabilities"] = {"images": True}  # stated, for the probe is answered in words
            while (added := http.post("/v1/experts", json=body)).status_code == 422:
                assert time.monotonic() < patience, added.text  # the other server starts
                time.sleep(0.2)
            assert added.status_code == 201, added.text
