"""The gateway's benchmark: its numbers are what wrk saw, and its promises can be broken."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from collegium.errors import SetupError
from collegium.evals import bench_gateway_peers
from collegium.evals.bench_gateway import (
    GatewayBench,
    Speed,
    Spread,
    bench_gateway,
    check,
    speed,
    spread,
)
from collegium.evals.bench_gateway_load import Load, parsed, script
from collegium.evals.bench_gateway_process import Gateway, program
from collegium.evals.bench_gateway_servers import upstream
from collegium.evals.bench_gateway_soak import Moment, Soak, soak_gateway
from collegium.evals.provenance import provenance

LINE = '{"requests":300,"duration_us":2000000,"p50_us":1500,"p99_us":9000,"refused":2,"broken":1}'
MOST_BYTES_A_REQUEST = 1000
"""A decision with its 20 forecasts is 5 KB: one that is kept by mistake shows."""


def load(per_second: float, p50_ms: float, p99_ms: float) -> Load:
    return Load(100, per_second, p50_ms, p99_ms, 0)


def fast(per_second: float, paced_ms: float = 1.0) -> Speed:
    rate, ms = spread([per_second]), spread([paced_ms])
    return Speed(rate, ms, ms, ms, ms, 0.5, 100.0, 10, 0)


def report(**found: Speed) -> GatewayBench:
    return GatewayBench({"whole": found}, {}, provenance("test", 0, {}))


def test_wrks_line_is_read_among_its_other_words() -> None:
    """Rates a second, milliseconds, and all that failed."""
    assert parsed(f"Running 2s test\n{LINE}\nLatency Distribution") == Load(300, 150, 1.5, 9.0, 3)


def test_output_without_the_line_is_an_error() -> None:
    """For example when the script is broken."""
    with pytest.raises(SetupError, match="no result"):
        parsed("unable to connect")


def test_the_overhead_is_taken_within_each_round() -> None:
    """Both got slower in the second round; the difference did not."""
    direct = [(load(1000, 1, 2), load(100, 0.5, 1)), (load(500, 11, 12), load(100, 5.5, 6))]
    found = [(load(10, 4, 9), load(100, 1.5, 3)), (load(30, 14, 29), load(100, 6.5, 8))]
    made = speed(found, direct, processor_ms=1.0, memory=2.0, decisions={})
    assert made.per_second == Spread(20, 10, 30)
    assert made.busy_p50_ms == Spread(3, 3, 3)
    assert made.busy_p99_ms == Spread(12, 7, 17)
    assert made.paced_p50_ms == Spread(1, 1, 1)
    assert made.requests == 400


def test_goals_are_met_or_missed_by_what_was_found() -> None:
    """Twenty times LiteLLM's rate; three milliseconds."""
    met = report(**{"collegium, static": fast(2000), "litellm": fast(100)})
    assert [goal.met for goal in met.goals()] == [True, True, True]
    missed = report(**{"collegium, static": fast(1999, 3.1), "litellm": fast(100)})
    assert [goal.met for goal in missed.goals()] == [False, False, False]
    alone = report(**{"collegium, static": fast(10)})
    assert [goal.what for goal in alone.goals() if "LiteLLM" in goal.what] == []


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
    """All requests are answered, whole and streamed, and each one was routed."""
    found = bench_gateway(
        encoders=["static"],
        with_peers=False,
        rounds=1,
        seconds=1.0,
        seed=0,
        cache=tmp_path,
        command="again",
        progress=False,
    )
    assert found.left_out == {}
    assert set(found.modes) == {"whole", "stream"}
    for gateways in found.modes.values():
        ours = gateways["collegium, static"]
        assert ours.failed == 0
        assert 0 < ours.requests <= sum(ours.decisions.values())
        assert 0 < ours.per_second.median < gateways["upstream"].per_second.median
        assert ours.paced_p50_ms.median > 0
        assert ours.processor_ms > 0
    assert json.loads(found.to_json())["provenance"]["command"] == "again"


def test_what_grows_is_not_flat() -> None:
    """From the moment that a tenth of the requests were made."""
    memory = {1000: 100.0, 10_000: 200.0, 50_000: 208.0, 100_000: 212.0}
    moments = tuple(Moment(n, mib, 20, 1.0) for n, mib in memory.items())
    found = Soak(moments, 0, 9.0, provenance("test", 0, {}))
    assert found.growth == pytest.approx(0.06)
    assert not found.flat
    assert json.loads(found.to_json())["flat"] is False
    assert Soak(moments[:-1], 0, 9.0, provenance("test", 0, {})).flat


@pytest.mark.slow
def test_a_soak_counts_what_the_service_holds_and_it_stays_flat() -> None:
    """All requests are answered, sockets are not left behind, nor, after warming up, memory."""
    found = soak_gateway(7000, encoder="static", seed=0, command="again", progress=False)
    warm = next(moment for moment in found.moments if moment.requests >= 1500)
    last = found.moments[-1]
    grown = (last.memory_mib - warm.memory_mib) * 2**20
    asked = last.requests - warm.requests

    assert found.failed == 0
    assert last.requests >= 7000
    assert all(0 < m.open_files < 200 for m in found.moments)
    assert last.database_mib > 1
    assert asked > 3000
    assert grown < asked * MOST_BYTES_A_REQUEST, f"{grown / asked:.0f} B a request"
