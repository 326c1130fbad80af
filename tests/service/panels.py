"""A service with experts that do as their names say, for the tests of panels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.running_service import RunningService, running_service
from tests.servers import app_server
from tests.service.panel_server import EXPERTS

Scripts = Mapping[str, tuple[str, float, float]]


@contextmanager
def panel_service(
    data_dir: Path, experts: Scripts = EXPERTS, **settings: str
) -> Iterator[RunningService]:
    """Start the experts' server and a service without an engine; end both afterwards.

    The first expert is the generalist.
    """
    with (
        app_server("tests.service.panel_server:app") as url,
        running_service(data_dir, COLLEGIUM_EMBEDDED="false", **settings) as service,
    ):
        _register(service, url, experts)
        yield service


def _register(service: RunningService, url: str, experts: Scripts) -> None:
    generalist = next(iter(experts))
    with httpx.Client(base_url=service.url, timeout=60) as http:
        for name, (model, level, price) in experts.items():
            prices = {"input_price": price, "output_price": price}
            body = {"name": name, "kind": "openai", "model": model, "base_url": url, **prices}
            body["generalist"] = name == generalist
            added = http.post("/v1/experts", json=body)
            assert added.status_code == 201, added.text
            skills = {"skills": {"conversion": level}}
            assert http.patch(f"/v1/experts/{name}", json=skills).status_code == 200
