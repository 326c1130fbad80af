"""Traces are read and replayed as recorded, and their numbers are what was measured."""

from __future__ import annotations

import asyncio
import gzip
import time
from pathlib import Path

import pytest

from collegium.errors import SetupError
from collegium.evals.load.replay import Sent, replay
from collegium.evals.load.report import Objective, summarise
from collegium.evals.load.trace import Arrival, prompt_of, read_trace

AZURE = """TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:15:46.6805900,374,44
2023-11-16 18:15:50.9951690,396,109
2023-11-16 18:15:51.2224670,879,55
"""
MOONCAKE = """{"timestamp": 1000, "input_length": 6758, "output_length": 500, "hash_ids": []}
{"timestamp": 3500, "input_length": 7322, "output_length": 490, "hash_ids": []}
"""


@pytest.fixture
def traces(tmp_path: Path) -> Path:
    """Both formats."""
    for name, text in (("azure.csv.gz", AZURE), ("mooncake.jsonl.gz", MOONCAKE)):
        with gzip.open(tmp_path / name, "wt") as file:
            file.write(text)
    return tmp_path


def test_both_formats_are_read_from_their_first_request_on(traces: Path) -> None:
    """Seconds after the first, and tokens."""
    first, second = read_trace(traces, "azure", 2)
    assert first == Arrival(0.0, 374, 44)
    assert second.at_s == pytest.approx(4.314579)
    assert read_trace(traces, "mooncake", 9) == (Arrival(0.0, 6758, 500), Arrival(2.5, 7322, 490))


def test_an_unknown_trace_is_told_which_there_are(traces: Path) -> None:
    """By name."""
    with pytest.raises(SetupError, match="available: azure, mooncake"):
        read_trace(traces, "azur", 1)


def test_prompts_are_about_as_long_as_wished() -> None:
    """Four characters a token, out of real texts."""
    texts = ["short", "a longer text that goes on"]
    assert prompt_of(1, texts, 0) == "shor"
    assert prompt_of(4, texts, 0) == "short\na longer t"
    assert prompt_of(0, texts, 0) == "Hello"


async def test_requests_are_sent_when_the_trace_says() -> None:
    """Also while earlier ones still wait, and ten times as fast when that is wished."""
    came: list[float] = []
    chunk = 'data: {"choices": [{"delta": {"content": "a"}}]}\n\n'
    outcome = '{"completion_tokens": 3, "waited_ms": 250}'
    last = f'data: {{"choices": [{{"delta": {{}}}}], "collegium": {{"outcome": {outcome}}}}}\n\n'

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        came.append(time.monotonic())
        head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
        writer.write((head + chunk).encode())
        await writer.drain()
        await asyncio.sleep(0.6)
        writer.write((chunk + last + "data: [DONE]\n\n").encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    arrivals = [Arrival(at_s, 1, 1) for at_s in (0.0, 2.0, 4.0)]
    sent, seconds = await replay(
        f"http://127.0.0.1:{port}", arrivals, [{}, {}, {}], speed=10.0, progress=False
    )
    server.close()
    await server.wait_closed()
    assert came[2] - came[0] == pytest.approx(0.4, abs=0.25)
    assert seconds == pytest.approx(1.0, abs=0.6)
    for answer in sent:
        assert (answer.status, answer.whole, answer.output_tokens) == (200, True, 3)
        assert answer.waited_s == 0.25
        assert answer.tpot_s == pytest.approx(0.3, abs=0.15)  # 0.6 s over the two after the first


async def test_no_answer_is_a_status_of_its_own() -> None:
    """Nobody listens."""
    sent, _ = await replay("http://127.0.0.1:9", [Arrival(0, 1, 1)], [{}], speed=1, progress=False)
    assert (sent[0].status, sent[0].whole) == (0, False)


def test_good_is_whole_and_in_time() -> None:
    """Late, slow, refused and broken ones are not; percentiles are over those with an answer."""
    sent = [
        Sent(200, 1.0, 0.1, 2.0, 0.5, 10, whole=True),
        Sent(200, 3.0, 0.1, 4.0, 2.5, 10, whole=True),
        Sent(200, 1.0, 0.3, 4.0, 0.0, 10, whole=True),
        Sent(200, 1.0, 0.1, 1.5, 0.0, 5),
        Sent(429),
    ]
    run = summarise(10.0, sent, 5.0, Objective(2.0, 0.2))
    assert run.statuses == {"200": 3, "429": 1, "broken": 1}
    assert (run.goodput_per_s, run.good_share) == (0.2, 0.2)
    assert run.tokens_per_s == 7.0
    assert (run.ttft_s.p50, run.waited_s.p50) == (1.0, 0.25)


def test_a_whole_answer_may_have_a_limit_of_its_own() -> None:
    """Fast tokens, but so many that the answer came too late; of a length that nobody limits."""
    sent = Sent(200, ttft_s=0.5, tpot_s=0.1, latency_s=16.0, output_tokens=156, whole=True)
    assert Objective(2.0, 0.2).met(sent)
    assert Objective(2.0, 0.2, 16.0).met(sent)
    assert not Objective(2.0, 0.2, 15.0).met(sent)
