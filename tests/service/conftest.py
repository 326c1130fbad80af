"""Clients of the running service, and a second server to register."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import openai
import pytest

from tests.running_service import RunningService
from tests.servers import app_server


@pytest.fixture
def http(service: RunningService) -> Iterator[httpx.Client]:
    """A plain HTTP client."""
    with httpx.Client(base_url=service.url, timeout=120) as client:
        yield client


@pytest.fixture
def sdk(service: RunningService) -> Iterator[openai.OpenAI]:
    """OpenAI's own client."""
    with openai.OpenAI(base_url=f"{service.url}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture(scope="session")
def echo_url() -> Iterator[str]:
    """A second real server process on loopback."""
    with app_server("tests.service.echo_server:app") as url:
        yield url
