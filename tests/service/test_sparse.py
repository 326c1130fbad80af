"""The sparse mixture beside the pool: it comes later, answers by name and keeps nobody waiting."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
import pytest

from collegium.evals.tasks import TASKS
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


def ask(service: RunningService, prompt: str, tokens: int = 64) -> httpx.Response:
    """One greedy question to the mixture, which on two busy cores writes a token in seconds."""
    body = {
        "model": "mixture",
        "messages": [{"role": "user", "content": prompt}],
        "temperature": 0,
        "max_tokens": tokens,
    }
    return httpx.post(f"{service.url}/v1/chat/completions", json=body, timeout=400)


def said(service: RunningService, prompt: str) -> str:
    """What the mixture answers."""
    answer = ask(service, prompt)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["choices"][0]["message"]["content"])


@pytest.mark.timeout(1000)  # a processor without AVX-512 writes a token or two a second
def test_the_pool_is_ready_before_the_mixture(both: RunningService) -> None:
    """Until its engine is there the mixture says so; then it does a specialist's work."""
    began = time.monotonic()
    early = ask(both, "Hello")
    assert early.status_code == 503, early.text
    assert "retry-after" in early.headers
    assert time.monotonic() - began < 30  # at once, but for what keeps the cores
    assert "'sparse' is st" in early.text  # started, or still stopped

    deadline = time.monotonic() + 500
    while (answer := ask(both, "Hello", tokens=4)).status_code != 200:
        assert time.monotonic() < deadline, answer.text
        time.sleep(1)
    task = TASKS["labels"]
    questions = task.examples("test", 4)
    right = [task.check(q, said(both, q.prompt)) for q in questions]
    assert sum(right) >= 2


def test_the_mixtures_token_routing_is_counted(both: RunningService) -> None:
    """By the expert's name, once it has answered; an expert that is not sparse counts nothing."""
    counted = both.counted_tokens("mixture")
    assert len(counted["layers"]) == 30
    assert all(sum(layer["counts"]) == 2 * layer["tokens"] for layer in counted["layers"])
    assert "collects no token statistics" in both.cli("expert", "tokens", "labels").stderr
