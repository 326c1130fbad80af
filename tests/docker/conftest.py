"""The production set-up, for the tests of its parts."""

from typing import Any

import pytest
import yaml

from tests.repository import read


@pytest.fixture(scope="session")
def compose() -> dict[str, Any]:
    """docker-compose.yml."""
    loaded: dict[str, Any] = yaml.safe_load(read("docker-compose.yml"))
    return loaded
