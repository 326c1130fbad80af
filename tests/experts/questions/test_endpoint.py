"""Asking a real HTTP server in OpenAI's shape."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from collegium.errors import ExpertError, ExpertRejected, ExpertTimeout, ExpertUnavailable
from collegium.evals.tasks.base import Example, Split
from collegium.evals.tasks.collect import collect
from collegium.experts.questions.endpoint import Endpoint

Reply = Callable[[str, dict[str, Any], dict[str, str]], tuple[int, Any]]


@contextmanager
def serve(reply: Reply) -> Iterator[str]:
    """Run a server whose answers `reply(path, body, headers)` gives; yield its `/v1` address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, answer = reply(self.path, body, dict(self.headers))
            data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            with suppress(BrokenPipeError):  # whoever asked may have waited long enough
                self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1"
        finally:
            server.shutdown()
            thread.join()


def completion(text: str, **extra: object) -> dict[str, Any]:
    """Return the body of an answer."""
    return {
        "choices": [{"message": {"role": "assistant", "content": text}}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 2},
        **extra,
    }


async def test_an_expert_is_asked_greedily() -> None:
    """Temperature 0, a bounded length, the key as a bearer token; tokens and time come back."""
    seen: list[tuple[str, dict[str, Any], dict[str, str]]] = []

    def reply(path: str, body: dict[str, Any], headers: dict[str, str]) -> tuple[int, Any]:
        seen.append((path, body, headers))
        time.sleep(0.02)
        return 200, completion("SELECT 1")

    with serve(reply) as url:
        async with Endpoint(url, api_key="secret", max_tokens=64) as endpoint:
            answer = await endpoint.ask("sql", "Count cats")
    ((path, body, headers),) = seen
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == "Bearer secret"
    assert body == {
        "model": "sql",
        "messages": [{"role": "user", "content": "Count cats"}],
        "temperature": 0,
        "max_tokens": 64,
    }
    assert (answer.text, answer.prompt_tokens, answer.completion_tokens) == ("SELECT 1", 5, 2)
    assert 0.02 <= answer.latency_s < 5


@pytest.mark.parametrize(
    ("status", "answer", "error", "message"),
    [
        (503, {"error": {}}, ExpertUnavailable, "HTTP 503"),
        (404, {"error": {"message": "no such model"}}, ExpertRejected, "no such model"),
        (200, b"<html>", ExpertError, "not in OpenAI's format"),
        (200, {"choices": []}, ExpertError, "not in OpenAI's format"),
        (200, ["x"], ExpertError, "not in OpenAI's format"),
        (
            200,
            completion("hi", collegium={"decision": {"expert": "general"}}),
            ExpertError,
            "'general' answered in its place",
        ),
    ],
)
async def test_what_is_no_answer_is_an_error(
    status: int, answer: object, error: type[ExpertError], message: str
) -> None:
    """Bad statuses, bad bodies and another expert's answer are never taken for an answer."""
    with serve(lambda *_: (status, answer)) as url:
        async with Endpoint(url) as endpoint:
            with pytest.raises(error, match=message) as caught:
                await endpoint.ask("sql", "Count cats")
    assert caught.value.expert == "sql"


async def test_silence_is_a_timeout() -> None:
    """A server that does not answer in time gives the error that is retried."""

    def reply(*_: object) -> tuple[int, Any]:
        time.sleep(0.3)
        return 200, completion("late")

    with serve(reply) as url:
        async with Endpoint(url, timeout_s=0.05) as endpoint:
            with pytest.raises(ExpertTimeout):
                await endpoint.ask("sql", "Count cats")


async def test_nobody_at_the_door_is_unavailable() -> None:
    """A refused connection is named."""
    with serve(lambda *_: (200, {})) as url:
        pass
    async with Endpoint(url) as endpoint:
        with pytest.raises(ExpertUnavailable):
            await endpoint.ask("sql", "Count cats")


async def test_a_decision_is_read_without_asking_an_expert() -> None:
    """`/route` gives the expert, the forecasts and the router's own time."""

    def reply(path: str, body: dict[str, Any], _: object) -> tuple[int, Any]:
        assert (path, body["model"]) == ("/v1/route", "auto")
        forecasts = [{"expert": "sql", "quality": 0.9}, {"expert": "poet", "quality": None}]
        return 200, {
            "expert": "sql",
            "policy": "quality",
            "overhead_ms": 1.5,
            "forecasts": forecasts,
        }

    with serve(reply) as url:
        async with Endpoint(url) as endpoint:
            decided = await endpoint.decide("Count cats")
    assert (decided.expert, decided.policy, decided.overhead_ms) == ("sql", "quality", 1.5)
    assert decided.quality == {"sql": 0.9, "poet": None}


class Shout:
    """A task that asks for capitals."""

    name = "shout"

    def examples(self, split: Split, count: int, seed: int = 0) -> list[Example]:
        """Number the prompts."""
        return [Example(f"s{n}", "shout", "{n}", f"word {n}", f"WORD {n}") for n in range(count)]

    def check(self, example: Example, answer: str) -> bool:
        """Compare with the reference."""
        return answer == example.reference


async def test_a_pool_is_collected_over_http(tmp_path: Path) -> None:
    """The whole way: server, endpoint, log, marks; a flaky server loses nothing."""
    answers = 0

    def reply(_: str, body: dict[str, Any], __: object) -> tuple[int, Any]:
        nonlocal answers
        answers += 1
        if answers == 3:
            return 503, {"error": {"message": "starting"}}
        prompt = body["messages"][0]["content"]
        return 200, completion(prompt.upper() if body["model"] == "shouter" else prompt)

    with serve(reply) as url:
        async with Endpoint(url) as endpoint:
            outcomes = await collect(
                endpoint.ask,
                {"shouter": "1", "whisperer": "1"},
                Shout().examples("test", 6),
                {"shout": Shout()},
                tmp_path / "cells.jsonl",
                pause_s=0,
                progress=False,
            )
    outcomes.require_complete()
    assert outcomes.scores.tolist() == [[1.0, 0.0]] * 6
    assert answers == 13
