"""Panels as OpenAI's client, evaluations and commands ask them; the rest is in tests/web."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from collegium.experts.questions.endpoint import Endpoint
from collegium.registry.expert import AGGREGATION
from tests.running_service import RunningService
from tests.service.panels import panel_service

pytestmark = pytest.mark.slow
QUESTION = [{"role": "user", "content": "Convert 42 metres to metres. Number only."}]


@pytest.fixture(scope="module")
def panels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service whose experts do as their names say."""
    with panel_service(tmp_path_factory.mktemp("panels")) as service:
        yield service


def test_openais_client_reads_a_panels_stream(panels: RunningService) -> None:
    """Every chunk has the shape that it knows."""
    with openai.OpenAI(base_url=f"{panels.url}/v1", api_key="none", max_retries=0) as sdk:
        chunks: Any = sdk.chat.completions.create(
            model="collegium/vote",
            messages=QUESTION,  # type: ignore[arg-type]
            stream=True,
            extra_body={"routing": {"experts_allow": ["right", "wrong", "also"]}},
        )
        said = [chunk.choices[0].delta.content or "" for chunk in chunks]
    assert "".join(said).strip() == "42"


async def test_evaluations_ask_panels_as_they_ask_experts(panels: RunningService) -> None:
    """The answer is the panel's own, the tokens those of all its calls."""
    async with Endpoint(f"{panels.url}/v1") as endpoint:
        answer = await endpoint.ask("collegium/vote", QUESTION[0]["content"])
    assert answer.text.strip() == "42"
    assert answer.prompt_tokens >= 30


def test_a_profile_tells_who_combines(panels: RunningService) -> None:
    """Aggregation is measured with the other skills; who always says the same combines nothing."""
    words = ("--kind", AGGREGATION, "--questions", "6", "--yes", "--json")
    done = panels.cli("expert", "profile", "evil", *words)
    assert done.returncode == 0, done.stderr
    level = json.loads(done.stdout)["skills"][AGGREGATION]["level"]
    assert level < 0.3
    listed = httpx.get(f"{panels.url}/v1/experts", timeout=60).json()["data"]
    kept = {e["name"]: e["skills"] for e in listed}
    assert kept["evil"][AGGREGATION] == level
