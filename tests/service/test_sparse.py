"""The sparse mixture beside the pool: it comes later, answers by name and keeps nobody waiting."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
import pytest

from collegium.experts.specialists.tasks import TASKS
from tests.running_service import RunningService, running_service

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service that is ready, with its second engine, on our kernels, on the way."""
    folder = tmp_path_factory.mktemp("sparse")
    counted = '{"statistics": true}'
    with running_service(
        folder, COLLEGIUM_SPARSE="true", COLLEGIUM_SPARSE_TOKEN_POLICY=counted
    ) as service:
        yield service


def ask(service: RunningService, prompt: str) -> httpx.Response:
    """One greedy question to the mixture."""
    body = {
        "model": "mixture",
        "messages": [{"role": "user", "content": prompt}],
        "temperature": 0,
        "max_tokens": 64,
    }
    return httpx.post(f"{service.url}/v1/chat/completions", json=body, timeout=120)


def test_the_pool_is_ready_before_the_mixture(both: RunningService) -> None:
    """Until its engine is there the mixture says so; then it does a specialist's work."""
    early = ask(both, "Hello")
    assert early.status_code == 503, early.text
    assert "'sparse' is st" in early.text  # started, or still stopped

    deadline = time.monotonic() + 300
    while ask(both, "Hello").status_code != 200:
        assert time.monotonic() < deadline, ask(both, "Hello").text
        time.sleep(1)
    task = TASKS["labels"]
    questions = task.examples("test", 8)
    right = [
        task.check(q, ask(both, q.prompt).json()["choices"][0]["message"]["content"])
        for q in questions
    ]
    assert sum(right) >= 4


def test_the_mixtures_token_routing_is_counted(both: RunningService) -> None:
    """By the expert's name, once it has answered; an expert that is not sparse counts nothing."""
    counted = both.counted_tokens("mixture")
    assert len(counted["layers"]) == 30
    assert all(sum(layer["counts"]) == 2 * layer["tokens"] for layer in counted["layers"])
    assert "counts nothing" in both.cli("expert", "tokens", "labels").stderr
