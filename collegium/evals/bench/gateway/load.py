"""Generate load with wrk: whole or streamed chat completions, each with different words."""

from __future__ import annotations

import json
import resource
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from collegium.errors import SetupError

CONNECTIONS = 16
PACED_PER_SECOND = 100
"""Requests that all connections of a paced run make together, at most."""
GRACE_S = 30.0

# Each request's prompt ends in a number that no other one has, so that no cache can answer.
_SCRIPT = """
local bodies = {BODIES}
local pace, count = PACE, 0
math.randomseed(SEED)
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer KEY"

function request()
  count = count + 1
  local body = bodies[count % #bodies + 1]:gsub("NUMBER", math.random(1000000000), 1)
  return wrk.format(nil, nil, nil, body)
end

if pace > 0 then
  function delay() return math.floor(pace * (0.5 + math.random())) end
end

function done(summary, latency, _)
  local e = summary.errors
  io.write(string.format(
    '{"requests":%d,"duration_us":%d,"p50_us":%d,"p99_us":%d,"refused":%d,"broken":%d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    e.status, e.connect + e.read + e.write + e.timeout))
end
"""


@dataclass(frozen=True)
class Load:
    """What wrk saw of one address: requests a second, milliseconds to a whole answer, failures."""

    requests: int
    per_second: float
    p50_ms: float
    p99_ms: float
    failed: int
    processor_ms: float = 0.0
    """Of wrk, a request."""


def pace_ms(connections: int) -> int:
    """The mean pause of each connection in a paced run."""
    return round(1000 * connections / PACED_PER_SECOND)


def script(
    prompts: Sequence[str],
    *,
    model: str,
    stream: bool,
    key: str = "none",
    pace_ms: int = 0,
    seed: int = 0,
) -> str:
    """wrk's Lua script; `pace_ms` > 0 lets each connection rest so long on average."""
    asked = {"model": model, "stream": stream, "max_tokens": 64}
    bodies = [
        {**asked, "messages": [{"role": "user", "content": f"{prompt} [NUMBER]"}]}
        for prompt in prompts
    ]
    quoted = ",\n".join(_lua_string(json.dumps(body)) for body in bodies)
    text = _SCRIPT
    for name, value in (("PACE", pace_ms), ("SEED", seed), ("KEY", key), ("BODIES", quoted)):
        text = text.replace(name, str(value), 1)
    return text


def _lua_string(text: str) -> str:
    """Text in Lua's long brackets, which know no escapes."""
    level = "="
    while f"]{level}]" in text:
        level += "="
    return f"[{level}[{text}]{level}]"


def wrk(url: str, lua: Path, seconds: float, connections: int = CONNECTIONS) -> Load:
    """Load `url` for so long; SetupError where wrk fails."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "10s"]
    before = _processor_s()
    done = subprocess.run(
        [*command, "-s", str(lua), url],
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds + GRACE_S,
    )
    if done.returncode != 0:
        raise SetupError(f"wrk failed: {(done.stderr or done.stdout).strip()[-300:]}")
    found = parsed(done.stdout)
    spent_s = _processor_s() - before
    return replace(found, processor_ms=1000 * spent_s / max(1, found.requests))


def _processor_s() -> float:
    """Seconds of the processor that ended children of this process have used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def parsed(output: str) -> Load:
    """Read the line that our script prints; the rest is for people."""
    lines = [line for line in output.splitlines() if line.startswith('{"requests"')]
    if not lines:
        raise SetupError(f"wrk printed no result: {output[-300:]!r}")
    found = json.loads(lines[-1])
    seconds = found["duration_us"] / 1e6
    return Load(
        requests=found["requests"],
        per_second=found["requests"] / seconds,
        p50_ms=found["p50_us"] / 1000,
        p99_ms=found["p99_us"] / 1000,
        failed=found["refused"] + found["broken"],
    )
