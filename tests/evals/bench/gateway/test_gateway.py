"""The gateway's benchmark: its numbers are what wrk saw, and its promises can be broken."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from statistics import median_low

import pytest

from collegium.errors import SetupError
from collegium.evals.bench.gateway import peers as bench_gateway_peers
from collegium.evals.bench.gateway.load import Load, parsed, script
from collegium.evals.bench.gateway.ours import Option, label
from collegium.evals.bench.gateway.process import Gateway, program
from collegium.evals.bench.gateway.run import (
    Round,
    Spread,
    bench_gateway,
    check,
    speed,
)
from collegium.evals.bench.gateway.servers import upstream
from collegium.evals.bench.gateway.soak import Moment, Soak, soak_gateway
from collegium.evals.core.provenance import provenance

OPTIONS: tuple[Option, ...] = ("key", "budget", "telemetry")
LINE = '{"requests":300,"duration_us":2000000,"p50_us":1500,"p99_us":9000,"refused":2,"broken":1}'
MOST_BYTES_A_REQUEST = 2000
"""A decision with its 20 forecasts is 5 KB: one that is kept by mistake shows. About 1,200 bytes
are usual in the first 8,000 requests, while conversations, words, timings and texts fill the tables
that remember so many of them; after 14,000 memory stayed within 2 MiB for 7,000 more."""


def load(per_second: float, p50_ms: float, p99_ms: float) -> Load:
    return Load(100, per_second, p50_ms, p99_ms, 0)


def test_wrks_line_is_read_among_its_other_words() -> None:
    """Rates a second, milliseconds, and all that failed."""
    assert parsed(f"Running 2s test\n{LINE}\nLatency Distribution") == Load(300, 150, 1.5, 9.0, 3)


def test_output_without_the_line_is_an_error() -> None:
    """For example when the script is broken."""
    with pytest.raises(SetupError, match="no result"):
        parsed("unable to connect")


def test_the_overhead_is_taken_within_each_round() -> None:
    """Both got slower in the second round; the difference did not."""
    direct = [
        Round(load(1000, 1, 2), load(100, 0.5, 1), 0.1, 0.1),
        Round(load(500, 11, 12), load(100, 5.5, 6), 0.1, 0.1),
    ]
    found = [
        Round(load(10, 4, 9), load(100, 1.5, 3), 1.0, 0.2),
        Round(load(30, 14, 29), load(100, 6.5, 8), 3.0, 0.2),
    ]
    made = speed(found, direct, memory=2.0, decisions={})
    assert made.processor_ms == Spread(2, 1, 3)
    assert made.upstream_ms == Spread(0.2, 0.2, 0.2)
    assert made.per_second == Spread(20, 10, 30)
    assert made.busy_p50_ms == Spread(3, 3, 3)
    assert made.busy_p99_ms == Spread(12, 7, 17)
    assert made.paced_p50_ms == Spread(1, 1, 1)
    assert made.requests == 400


def test_prompts_pass_through_the_script_as_they_are(tmp_path: Path) -> None:
    """Whatever brackets and quotes they hold."""
    prompt = 'a]=]b "quoted" \\n [[c]] %d ü'
    text = script([prompt], model="auto", stream=True, key="k", pace_ms=5, seed=3)
    body = {"role": "user", "content": f"{prompt} [NUMBER]"}
    assert json.dumps(body) in text
    assert "Bearer k" in text
    assert "[==[" in text


@pytest.mark.slow  # pip makes an environment first
def test_a_peer_that_cannot_be_installed_says_why(tmp_path: Path) -> None:
    """And leaves nothing that would be taken for an environment."""
    with pytest.raises(SetupError, match="can't be installed from PyPI"):
        bench_gateway_peers.environment("./no/such/package", tmp_path)
    assert list(tmp_path.rglob("installed")) == []
    older = tmp_path / "bench" / "older-1"
    older.mkdir()
    (older / "installed").touch()
    found = bench_gateway_peers.first_of(["./no/such/package", "older==1"], tmp_path)
    assert found == older


def test_a_missing_program_is_told_with_its_package() -> None:
    """As people have to install it."""
    with pytest.raises(SetupError, match="apt-get install wrk-of-debian"):
        program("no-such-program", "wrk-of-debian")


@pytest.mark.slow
def test_an_error_page_is_not_timed(tmp_path: Path) -> None:
    """A server that answers something else is refused."""
    with upstream(tmp_path, stream=False) as server:
        check(server, "key", stream=False)
        elsewhere = Gateway("elsewhere", f"{server.url}/x", server.model, server.pid)
        with pytest.raises(SetupError, match="elsewhere answers 200"):
            check(elsewhere, "key", stream=False)


@pytest.mark.slow
def test_a_real_run_decides_on_every_request(tmp_path: Path) -> None:
    """All requests are answered, whole and streamed, and each one was routed: also those with a key
    of the registry, a budget and telemetry.
    """
    found = bench_gateway(
        encoders=["static"],
        with_peers=False,
        rounds=1,
        seconds=1.0,
        seed=0,
        cache=tmp_path,
        command="again",
        options=OPTIONS,
        workers=(1, 2),
        connections=(16,),
        progress=False,
    )
    assert found.left_out == {}
    assert set(found.modes) == {"whole", "stream"}
    two = label("static", workers=2)
    for gateways in found.modes.values():
        assert set(gateways[two].times) == {label("static")}
        for name in (label("static"), two, label("static", options=OPTIONS)):
            ours = gateways[name]
            assert ours.failed == 0
            assert 0 < ours.requests <= sum(ours.decisions.values())
            assert 0 < ours.per_second.median < gateways["upstream"].per_second.median
            assert ours.processor_ms.median > 0
            assert ours.wrk_ms.median > 0
    assert found.provenance.command == "again"


def test_what_grows_is_not_flat() -> None:
    """From the moment that a tenth of the requests were made."""
    memory = {1000: 100.0, 10_000: 200.0, 50_000: 208.0, 100_000: 212.0}
    moments = tuple(Moment(n, mib, 20, 1.0) for n, mib in memory.items())
    found = Soak(moments, 0, 9.0, provenance("test", 0, {}))
    assert found.growth == pytest.approx(0.06)
    assert not found.flat
    assert found.to_dict()["flat"] is False
    assert Soak(moments[:-1], 0, 9.0, provenance("test", 0, {})).flat


@pytest.mark.slow
def test_a_soak_counts_what_the_service_holds_and_it_stays_flat() -> None:
    """All requests are answered, sockets are not left behind, nor, after warming up, memory."""
    found = soak_gateway(5000, encoder="static", seed=0, command="again", progress=False)
    warm = [moment for moment in found.moments if moment.requests >= 1500]
    last = found.moments[-1]
    # What leaks does so in each slice; a tokenizer of 76 MB is loaded once, whenever wrk's end cuts
    # off an answer whose tokens have to be counted.
    grown = median_low(
        (after.memory_mib - before.memory_mib) * 2**20 / (after.requests - before.requests)
        for before, after in pairwise(warm)
    )

    assert found.failed == 0
    assert last.requests >= 5000
    assert all(0 < m.open_files < 200 for m in found.moments)
    assert last.database_mib > 1
    assert len(warm) > 2
    assert grown < MOST_BYTES_A_REQUEST
