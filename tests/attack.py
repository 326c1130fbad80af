"""Attack a service of its own for minutes, and say what did not hold.

`python -m tests.attack --minutes 20` sends malformed, large and slow requests of several callers,
leaves streams, kills the upstream again and again, and lets Schemathesis try all paths. It fails
where a status 500 was seen, where others waited, or where memory did not come back.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import click
import httpx

from tests.running_service import RunningService
from tests.servers import free_port
from tests.service import test_abuse
from tests.service.upstreams import ADMIN, BILLING, Upstream, serving

CALLERS = {name: f"the-key-of-{name}-1" for name in ("ada", "bob", "eve")}
LATE_S = 0.25
"""The longest that others may wait because of somebody's malformed request."""
LATE_SHARE = 0.01
"""The share of calls that may wait longer: attackers and service have the same few processors."""
KILL_EVERY_S = 20.0
IDLE_S = 60.0
SCHEMATHESIS = (
    "--checks=not_a_server_error --mode=all --max-examples=20 --continue-on-failure "
    "--request-timeout=60 --exclude-path-regex=/v1/(engines|experts|keys|budgets)"
)


@dataclass
class Findings:
    """What was seen."""

    statuses: Counter[str] = field(default_factory=Counter)
    waits_s: list[float] = field(default_factory=list)
    kills: int = 0
    fuzzed: int = 0
    problems: list[str] = field(default_factory=list)


class CallersAttack(test_abuse.Attack):
    """The attack, with each request by another caller or by somebody with a wrong key."""

    @property
    def _headers(self) -> dict[str, str]:
        key = random.choice([*CALLERS.values(), ADMIN, "a-wrong-key-of-nobody"])
        return {**test_abuse.HEADERS, "authorization": f"Bearer {key}"}


async def attacked(service: RunningService, upstream: Upstream, seconds: float) -> Findings:
    """Everything at once."""
    found, until = Findings(), time.monotonic() + seconds
    attack = CallersAttack(service, until)
    await asyncio.gather(
        attack.run(),
        watched(service, found, until),
        killed(upstream, found, until),
        fuzzed(service, found, until),
    )
    found.statuses = attack.statuses
    return found


async def watched(service: RunningService, found: Findings, until: float) -> None:
    """How long somebody waits who does no harm."""
    async with httpx.AsyncClient(base_url=service.url, timeout=60) as http:
        while time.monotonic() < until:
            began = time.monotonic()
            answer = await http.get("/healthz")
            found.waits_s.append(time.monotonic() - began)
            if answer.status_code != 200:
                found.problems.append(f"/healthz answered {answer.status_code}")
            await asyncio.sleep(0.1)


async def killed(upstream: Upstream, found: Findings, until: float) -> None:
    """Kill the upstream in the middle of its answers, and start it again."""
    while time.monotonic() + KILL_EVERY_S < until:
        await asyncio.sleep(KILL_EVERY_S)
        upstream.process.kill()
        upstream.process.wait()
        found.kills += 1
        await asyncio.sleep(1.0)
        upstream.process = subprocess.Popen([sys.executable, str(BILLING), str(upstream.port)])


async def fuzzed(service: RunningService, found: Findings, until: float) -> None:
    """Let Schemathesis try all paths, with another seed each time."""
    program = Path(sys.executable).with_name("schemathesis")
    while (left := until - time.monotonic()) > 0:
        key = random.choice([*CALLERS.values(), ADMIN])
        words = [
            *SCHEMATHESIS.split(),
            f"--seed={found.fuzzed}",
            f"--header=authorization: Bearer {key}",
        ]
        address = f"{service.url}/openapi.json"
        process = await asyncio.create_subprocess_exec(
            program,
            "run",
            address,
            *words,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=tempfile.gettempdir(),  # it leaves files there
        )
        try:
            out, _ = await asyncio.wait_for(process.communicate(), left)
        except TimeoutError:
            process.kill()
            await process.wait()
            return
        found.fuzzed += 1
        if process.returncode:
            found.problems.append(f"Schemathesis: {out.decode(errors='replace')[-3000:]}")


def main(minutes: float) -> int:
    """Attack, wait, and print what was found; 1 if something did not hold."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        upstream = Upstream(free_port(), BILLING).wait()
        stack.callback(lambda: upstream.process.kill())
        settings = {"COLLEGIUM_API_KEY": ADMIN, "COLLEGIUM_CALLER_KEYS": json.dumps(CALLERS)}
        service = stack.enter_context(serving(folder, upstream, **settings))
        asyncio.run(attacked(service, upstream, 10.0))
        before = test_abuse.rss_mib(service)
        found = asyncio.run(attacked(service, upstream, 60 * minutes))
        time.sleep(IDLE_S)
        after = test_abuse.rss_mib(service)
        if service.process.poll() is not None:
            found.problems.append("the service has ended")
        if after > before + test_abuse.MOST_LEFT_MIB:
            found.problems.append(f"memory: {before:.0f} MiB before, {after:.0f} MiB afterwards")
    found.problems += [status for status in found.statuses if status.split()[-1] == "500"]
    late = sum(wait > LATE_S for wait in found.waits_s)
    if late > LATE_SHARE * len(found.waits_s):
        found.problems.append(f"{late} of {len(found.waits_s)} calls of /healthz were late")
    click.echo(f"{sum(found.statuses.values())} requests: {dict(sorted(found.statuses.items()))}")
    click.echo(f"{found.kills} kills, {found.fuzzed} runs of Schemathesis, memory {after:.0f} MiB")
    click.echo(f"/healthz: {len(found.waits_s)} calls, the longest {max(found.waits_s):.3f} s")
    click.echo("\n".join(found.problems) or "Everything held.")
    return 1 if found.problems else 0


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description="Attack a service of its own.")
    arguments.add_argument("--minutes", type=float, default=20.0)
    sys.exit(main(arguments.parse_args().minutes))
