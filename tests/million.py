"""Fill a registry with a million decisions, and measure every list and the pruning of old ones.

`python -m tests.million --database postgresql` fills the tables, starts the service, and prints the
shortest, the median and the longest time of each list in milliseconds, the slowest first. Then a
service with `retention_days` prunes while requests are sent. It fails if a request fails, or if
even the shortest time of a list is over `--most-ms`: other times include what else the machine did.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import io
import itertools
import json
import os
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import httpx

from collegium.registry.budgets.usage import Usage
from collegium.registry.storage.database import Database
from tests.running_service import RunningService, running_service
from tests.servers import PASSWORD, PostgresServer, postgres_server
from tests.service.upstreams import ADMIN, Upstream, serving, upstream

OWNERS = [f"owner-{n:02}" for n in range(50)]
BUSY, FAILING, RARE, USUAL = OWNERS[0], OWNERS[1], OWNERS[2], OWNERS[3]
"""They have a fifth of all decisions; 15 % that nearly all fail; 0.1 %; and an equal share."""
EXPERTS = [f"expert-{n}" for n in range(10)]
BROKEN = EXPERTS[9]
"""Fails nearly always."""
KEYS = {name: f"the-key-of-{name}" for name in OWNERS}
DAYS = 30.0
FORECASTS = json.dumps([
    {"expert": name, "quality": 0.71, "cost_usd": 0.00031, "latency_ms": 812.0, "feasible": True}
    for name in EXPERTS[:4]
])  # fmt: skip
DECISIONS = (
    *("id", "created_at", "expert", "requested_model", "policy", "confidence", "reason", "prompt"),
    *("forecasts", "limits", "session", "application", "owner", "team"),
)
OUTCOMES = (
    *("decision_id", "status", "error", "expert", "prompt_tokens", "completion_tokens"),
    *("cost_usd", "latency_ms", "finished_at", "failed_owner", "failed_application"),
    "failed_expert",
)
FEEDBACK = ("id", "decision_id", "verdict", "created_at", "owner", "source", "score")
EXCHANGES = (
    *("decision_id", "owner", "application", "session", "bytes", "created_at", "request"),
    "answer",
)
TABLES = {
    "decisions": DECISIONS, "outcomes": OUTCOMES, "feedback": FEEDBACK, "exchanges": EXCHANGES,
}  # fmt: skip
CHUNK = 20_000
Rows = dict[str, list[tuple[Any, ...]]]


def owner_of(chance: random.Random) -> str:
    """Whose the next decision is."""
    place = chance.random()
    for owner, share in ((BUSY, 0.2), (FAILING, 0.15), (RARE, 0.001)):
        if place < share:
            return owner
        place -= share
    return chance.choice(OWNERS[3:])


def application_of(owner: str, number: int) -> str:
    """One of an owner's four applications."""
    return f"{owner}:app-{number}"


def rows(count: int, now: datetime) -> Iterator[Rows]:
    """The rows of `count` decisions, evenly over the last 30 days, in chunks."""
    chance, step = random.Random(1), timedelta(days=DAYS) / count
    for start in range(0, count, CHUNK):
        found: Rows = {name: [] for name in TABLES}
        for number in range(start, min(start + CHUNK, count)):
            _add(found, number, now - (count - number) * step, chance)
        yield found


def _add(found: Rows, number: int, at: datetime, chance: random.Random) -> None:
    told = "auto", "quality", 0.8, "The best within the tolerance.", "Count them", FORECASTS, "{}"
    name, owner, expert = f"dec_{number:024x}", owner_of(chance), chance.choice(EXPERTS)
    application = application_of(owner, min(int(chance.expovariate(1.0)), 3))
    session, team = f"{owner}-{number // 500}", f"team-{int(owner[-2:]) % 10}"
    made, ended = at.isoformat(" "), (at + timedelta(seconds=2)).isoformat(" ")
    found["decisions"].append((name, made, expert, *told, session, application, owner, team))
    fails = 0.999 if owner == FAILING or expert == BROKEN else 0.03
    copies: tuple[str | None, ...] = (None, None, None)
    status, error = "ok", None
    if chance.random() < fails:
        status, error = chance.choice(("error", "error", "cancelled")), "is down"
        copies = (owner, application, expert)
    usage = 120, 80, 0.0003, 812.0
    found["outcomes"].append((name, status, error, expert, *usage, ended, *copies))
    if chance.random() < 0.02:
        rated = ("good_fit", ended, owner, "rating", 1.0)
        found["feedback"].append((f"fb_{number}", name, *rated))
    if chance.random() < 0.05:
        kept = (application, session, 400, made, '{"messages": []}', '{"choices": []}')
        found["exchanges"].append((name, owner, *kept))


def fill_sqlite(file: Path, count: int) -> None:
    """Insert the rows, many in one transaction."""
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA cache_size = -400000")
    for chunk in rows(count, datetime.now(UTC).replace(tzinfo=None)):
        for table, values in chunk.items():
            names = TABLES[table]
            places = ", ".join("?" * len(names))
            statement = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({places})"
            connection.executemany(statement, values)
        connection.commit()
    connection.close()


def fill_postgres(server: PostgresServer, database: str, count: int) -> None:
    """COPY the rows through psql, then gather statistics, as autovacuum does later."""
    for chunk in rows(count, datetime.now(UTC)):
        for table, values in chunk.items():
            text = io.StringIO()
            csv.writer(text).writerows(values)
            copy = f"COPY {table} ({', '.join(TABLES[table])}) FROM STDIN WITH (FORMAT csv)"
            _psql(server, database, copy, text.getvalue())
    _psql(server, database, "ANALYZE", "")


async def summed_up(folder: Path, settings: dict[str, str]) -> None:
    """Sum up usage, as the service does every hour."""
    url = settings.get("COLLEGIUM_DATABASE_URL", f"sqlite:///{folder}/collegium.sqlite3")
    database = Database(url)
    while await Usage(database).fold():
        pass
    await database.close()


def _psql(server: PostgresServer, database: str, statement: str, text: str) -> None:
    address = ["-h", "127.0.0.1", "-p", str(server.port), "-U", "collegium", "-d", database]
    command = [str(server.programs / "psql"), *address, "-X", "-q", "-v", "ON_ERROR_STOP=1"]
    environment = {**os.environ, "PGPASSWORD": PASSWORD}
    subprocess.run([*command, "-c", statement], input=text, text=True, env=environment, check=True)


def lists(count: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Who asks for which page: every combination of filters, and each other list."""
    owners = (None, BUSY, FAILING, RARE, USUAL)
    applications = (None, application_of(BUSY, 0), application_of(FAILING, 0), "nobody:app")
    experts, states = (None, EXPERTS[0], BROKEN), (None, "ok", "error", "cancelled", "open")
    for owner, app, expert, status in itertools.product(owners, applications, experts, states):
        named = {"owner": owner, "application": app, "expert": expert, "status": status}
        given = {name: value for name, value in named.items() if value is not None}
        yield "operator", {"path": "/v1/decisions", **given}
    now, day = datetime.now(UTC), timedelta(days=1)
    times = {"since": (now - 20 * day).isoformat(), "before": (now - 19 * day).isoformat()}
    for order, status in itertools.product(("asc", "desc"), states):
        given = {"order": order} | ({} if status is None else {"status": status})
        yield "operator", {"path": "/v1/decisions", **given}
        yield "operator", {"path": "/v1/decisions", **given, **times}
        for after in (f"dec_{number:024x}" for number in (count // 10, count // 2)):
            yield "operator", {"path": "/v1/decisions", "after": after, **given}
        for who in (BUSY, FAILING, RARE, USUAL):
            yield who, {"path": "/v1/decisions", **given}
            yield who, {"path": "/v1/decisions", **given, **times}
            yield who, {"path": "/v1/decisions", "session": f"{who}-7", **given}
    for who in ("operator", BUSY, FAILING, USUAL):
        for by in ("day", "owner", "application", "expert", "team"):
            yield who, {"path": "/v1/usage", "by": by}
        for path in ("usage/comparison", "files", "batches", "models", "experts", "keys"):
            yield who, {"path": f"/v1/{path}"}
    for path in ("applications", "alarms", "learning/runs", "router/versions", "cache"):
        yield "operator", {"path": f"/v1/{path}"}


def measured(service: RunningService, asked: Sequence[Any], repeats: int) -> list[Any]:
    """The shortest, the median and the longest time of each list, ms; the slowest list first."""
    found = []
    with httpx.Client(base_url=service.url, timeout=120) as http:
        for who, query in asked:
            params: Any = {name: value for name, value in query.items() if name != "path"}
            took = []
            for _ in range(repeats):
                began = time.perf_counter()
                answer = http.get(query["path"], params=params, headers=bearer(who))
                took.append(1000 * (time.perf_counter() - began))
                if answer.status_code not in (200, 404):
                    click.echo(f"{who} {query}: {answer.status_code} {answer.text[:200]}")
            times = min(took), statistics.median(took), max(took)
            found.append((*times, who, query, answer.status_code))
    return sorted(found, key=lambda each: -each[0])


def bearer(who: str) -> dict[str, str]:
    """The header of somebody's key."""
    return {"authorization": f"Bearer {ADMIN if who == 'operator' else KEYS[who]}"}


async def pruned(service: RunningService, seconds: float) -> tuple[list[float], list[str]]:
    """Send requests and read lists while the service prunes; returns times (ms) and failures."""
    took: list[float] = []
    failed: list[str] = []
    until = time.monotonic() + seconds
    body = {"model": "a", "messages": [{"role": "user", "content": "count"}]}

    async def ask(who: str, http: httpx.AsyncClient) -> None:
        while time.monotonic() < until:
            began = time.perf_counter()
            if random.random() < 0.8:
                answer = await http.post("/v1/chat/completions", json=body, headers=bearer(who))
            else:
                answer = await http.get("/v1/decisions", headers=bearer(who))
            took.append(1000 * (time.perf_counter() - began))
            if answer.status_code != 200:
                failed.append(f"{answer.status_code}: {answer.text[:200]}")
            await asyncio.sleep(0.05)

    async with httpx.AsyncClient(base_url=service.url, timeout=120) as http:
        await asyncio.gather(*(ask(who, http) for who in (BUSY, FAILING, RARE, USUAL)))
    return took, failed


def oldest(service: RunningService) -> datetime:
    """When the oldest decision that is left was made."""
    query: Any = {"order": "asc", "limit": 1}
    answer = httpx.get(
        f"{service.url}/v1/decisions", params=query, headers=bearer("operator"), timeout=120
    )
    return datetime.fromisoformat(answer.json()["data"][0]["decision"]["created_at"])


def settings_of(stack: ExitStack, database: str) -> tuple[dict[str, str], Any]:
    """The service's settings, and the server of its database if it has one."""
    settings = {"COLLEGIUM_API_KEY": ADMIN, "COLLEGIUM_CALLER_KEYS": json.dumps(KEYS)}
    if database == "sqlite":
        return settings, None
    server = stack.enter_context(postgres_server())
    return settings | {"COLLEGIUM_DATABASE_URL": server.empty_database("million")}, server


def main(database: str, count: int, repeats: int, seconds: float, most_ms: float) -> int:
    """Fill, measure and print; 1 if a list is slower or a request failed."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        settings, server = settings_of(stack, database)
        expert: Upstream = stack.enter_context(upstream())
        with serving(folder, expert, **settings):
            pass  # it makes the tables
        began = time.monotonic()
        if server is None:
            fill_sqlite(folder / "collegium.sqlite3", count)
        else:
            fill_postgres(server, "million", count)
        asyncio.run(summed_up(folder, settings))
        click.echo(f"{count} decisions in {database}, written in {time.monotonic() - began:.0f} s")
        settings["COLLEGIUM_EMBEDDED"] = "false"
        with running_service(folder, **settings) as service:
            time.sleep(10 if count >= 100_000 else 0)  # what it does at its start
            found = measured(service, list(lists(count)), repeats)
        late = [each for each in found if each[0] > most_ms]
        for *times, who, query, status in found[: max(25, len(late))]:
            told = " ".join(f"{ms:8.1f}" for ms in times)
            click.echo(f"{told}  {who:9} {status} {query}")
        usual = statistics.median(each[1] for each in found)
        click.echo(f"{len(found)} lists: median {usual:.1f} ms; {len(late)} over {most_ms:g} ms")
        days = DAYS - 1.0
        with running_service(folder, **settings, COLLEGIUM_RETENTION_DAYS=str(days)) as service:
            first = oldest(service)
            took, failed = asyncio.run(pruned(service, seconds))
            gone = (oldest(service) - first) / timedelta(days=DAYS) * count
        click.echo(
            f"pruned about {gone:.0f} decisions in {seconds:.0f} s beside {len(took)} requests: "
            f"median {statistics.median(took):.1f} ms, longest {max(took):.0f} ms, "
            f"{len(failed)} failed"
        )
        for each in failed[:5]:
            click.echo(each)
    return int(bool(late or failed))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--decisions", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--most-ms", type=float, default=300.0)
    given = parser.parse_args()
    sys.exit(main(given.database, given.decisions, given.repeats, given.seconds, given.most_ms))
