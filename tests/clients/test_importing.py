"""Moving in: another gateway's configuration becomes experts of a running service."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.running_service import RunningService

pytestmark = pytest.mark.slow
CONFIGURATION = """
model_list:
  - model_name: moved/in
    litellm_params: {{model: openai/scripted-1, api_base: "{url}"}}
    model_info: {{input_cost_per_token: 1.0e-6, output_cost_per_token: 2.0e-6}}
  - model_name: gone
    litellm_params: {{model: openai/gone-1, api_base: "http://127.0.0.1:9/v1"}}
"""


def test_an_import_registers_whom_it_reaches_and_can_be_repeated(
    gateway: RunningService, upstream: str, tmp_path: Path
) -> None:
    """One that can't be reached is told, and the others go on."""
    file = tmp_path / "config.yaml"
    file.write_text(CONFIGURATION.format(url=upstream))
    dry = gateway.cli("import", "litellm", str(file), "--dry-run", "--json")
    assert dry.returncode == 0, dry.stderr
    assert results(dry.stdout) == {"moved-in": None, "gone": None}

    first = gateway.cli("import", "litellm", str(file), "--json")
    assert first.returncode == 1
    assert "1 of 2 experts were not registered" in first.stderr
    assert results(first.stdout) == {"moved-in": "registered", "gone": "failed"}
    again = gateway.cli("import", "litellm", str(file))
    assert "kept        moved-in: it is registered already" in again.stdout
    assert 'COLLEGIUM_MODEL_ALIASES=\'{"moved/in": "moved-in"}\'' in again.stdout
    assert gateway.cli("expert", "remove", "moved-in").returncode == 0


def results(output: str) -> dict[str, Any]:
    """What became of each expert."""
    return {e["name"]: e.get("result") for e in json.loads(output)["experts"]}
