"""The service as the containers run it: another user, no capabilities, nothing to write to."""

from __future__ import annotations

import io
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.repository import ROOT, read
from tests.running_service import without_settings
from tests.sandbox import SECRETS, VOLUME, contained, needs_namespaces
from tests.servers import (
    PostgresServer,
    RedisServer,
    find_program,
    free_port,
    postgres_server,
    redis_server,
)
from tests.service.bulk import ended, line, results, submitted
from tests.service.upstreams import upstream

pytestmark = [pytest.mark.slow, needs_namespaces]
KEY = "the-key-in-a-file"
STATIC = {"COLLEGIUM_ENCODER": "static"}
"""To convert MiniLM takes a replica a minute of a core."""


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    """What the replicas share."""
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    """Their fast state."""
    with redis_server() as server:
        yield server


def environment(compose: dict[str, Any], port: int) -> dict[str, str]:
    """What docker-compose.yml and the image give a router, at this machine's addresses."""
    told = compose["services"]["router-1"]["environment"]
    ours = {name: value for name, value in told.items() if not value.startswith("${")}
    ours |= {"COLLEGIUM_PORT": str(port), "COLLEGIUM_SECRETS_DIR": SECRETS}
    ours |= {"COLLEGIUM_DATA_DIR": VOLUME, "COLLEGIUM_CACHE_DIR": f"{VOLUME}/cache"}
    plain = {k: v for k, v in without_settings().items() if k != "COLLEGIUM_CACHE_DIR"}
    return plain | ours | {"HOME": "/tmp", "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}


def secrets(folder: Path, postgres: PostgresServer, redis: RedisServer) -> Path:
    """The files that scripts/compose-secrets makes for a router."""
    folder.mkdir()
    texts = {
        "collegium_api_key": KEY,
        "collegium_database_url": postgres.empty_database("contained"),
        "collegium_redis_url": redis.url,
    }
    for name, text in texts.items():
        (folder / name).write_text(f"{text}\n")
    return folder


def until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 300
    while True:
        assert process.poll() is None, "it ended"
        assert time.monotonic() < deadline, "it is not ready after 300 s"
        try:
            if httpx.get(f"{url}/readyz", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.2)


def test_the_service_writes_to_its_volume_alone(
    compose: dict[str, Any], tmp_path: Path, postgres: PostgresServer, redis: RedisServer
) -> None:
    """It starts, takes a file and changes its experts; secrets come from files."""
    port, volume = free_port(), tmp_path / "volume"
    volume.mkdir()
    command = [sys.executable, "-m", "collegium", "serve"]
    env = environment(compose, port)
    process = contained(command, volume, secrets(tmp_path / "secrets", postgres, redis), env=env)
    try:
        url, headers = f"http://127.0.0.1:{port}", {"authorization": f"Bearer {KEY}"}
        until_ready(url, process)
        with httpx.Client(base_url=url, headers=headers, timeout=30) as http:
            files = {"file": ("in.jsonl", io.BytesIO(b"x" * 3_000_000))}
            made = http.post("/v1/files", files=files, data={"purpose": "batch"}).json()
            assert len(http.get(f"/v1/files/{made['id']}/content").content) == 3_000_000
            assert http.post("/v1/teams", json={"name": "search"}).status_code == 201
            assert httpx.get(f"{url}/v1/models").status_code == 401
        status = Path(f"/proc/{process.pid}/status").read_text()
    finally:
        process.terminate()
        assert process.wait(timeout=60) in (0, -signal.SIGTERM)
    assert "Uid:\t10001\t10001\t10001\t10001" in status
    assert "CapBnd:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status
    assert "/v1/teams" in (volume / "logs" / "audit.jsonl").read_text()


def end(running: list[subprocess.Popen[bytes]]) -> None:
    """Tell all of them to end, then wait."""
    for process in running:
        process.terminate()
    for process in running:
        process.wait(timeout=60)


def balanced(folder: Path, port: int, routers: list[int]) -> Path:
    """docker/nginx.conf at this machine's addresses; Debian's nginx has no names in upstreams."""
    text = re.sub(r"\n *#[^\n]*\n *resolver [^\n]*|\n *zone [^\n]*", "", read("docker/nginx.conf"))
    for number, router in enumerate(routers, start=1):
        text = text.replace(f"router-{number}:8000 resolve", f"127.0.0.1:{router}")
    file = folder / "nginx.conf"
    file.write_text(text.replace("listen 8080", f"listen 127.0.0.1:{port}"))
    return file


def test_two_replicas_behind_the_balancer_do_files_and_batches(
    compose: dict[str, Any], tmp_path: Path, postgres: PostgresServer, redis: RedisServer
) -> None:
    """As the containers run all three: each request goes to either replica."""
    nginx = find_program("nginx", package="nginx-light", folders="/usr/sbin")
    port, *routers = free_port(), free_port(), free_port()
    told = secrets(tmp_path / "secrets", postgres, redis)
    volumes = [tmp_path / name for name in ("balancer", "router-1", "router-2")]
    for volume in volumes:
        volume.mkdir()
    balanced(volumes[0], port, routers)
    program = [str(nginx), "-c", f"{VOLUME}/nginx.conf", "-g", "daemon off;"]
    serve = [sys.executable, "-m", "collegium", "serve"]
    user = int(compose["services"]["balancer"]["user"].split(":")[0])
    with ExitStack() as stack:
        running = [
            contained(serve, volume, told, env=environment(compose, at) | STATIC)
            for volume, at in zip(volumes[1:], routers, strict=True)
        ]
        running.append(contained(program, volumes[0], user=user, env=environment(compose, port)))
        stack.callback(end, running)
        for process, at in zip(running, [*routers, port], strict=True):
            until_ready(f"http://127.0.0.1:{at}", process)
        url = f"http://127.0.0.1:{port}/v1"
        sdk = stack.enter_context(openai.OpenAI(base_url=url, api_key=KEY, max_retries=0))
        server = stack.enter_context(upstream())
        new = {"name": "counting", "kind": "openai", "base_url": server.url, "input_price": 0}
        sdk.post("/experts", body=new, cast_to=object)
        lines = [line(f"row-{n}", f"text {n}", "counting") for n in range(40)]
        batches = [submitted(sdk, lines) for _ in range(3)]
        for batch in (ended(sdk, batch) for batch in batches):
            assert batch.request_counts.completed == 40
            for _ in range(4):
                assert len(results(sdk, batch.output_file_id)) == 40
        large = sdk.files.create(file=io.BytesIO(b"x" * 60_000_000), purpose="batch")
        assert len(sdk.files.content(large.id).content) == 60_000_000
        assert httpx.get(f"http://127.0.0.1:{port}/metrics").status_code == 404


def test_nothing_else_can_be_written(compose: dict[str, Any], tmp_path: Path) -> None:
    """The walls are there: neither the code nor the system."""
    volume = tmp_path / "volume"
    volume.mkdir()
    tried = [str(ROOT / "new"), "/etc/new", "/var/tmp/new", "/mnt/new", f"{VOLUME}/new", "/tmp/new"]
    program = (
        "import sys\n"
        "for path in sys.argv[1:]:\n"
        "    try: open(path, 'w'); print(path)\n"
        "    except OSError: pass\n"
    )
    for user in (10_001, 0):  # also without the rights of files in the way
        (volume / "new").unlink(missing_ok=True)
        process = contained(
            [sys.executable, "-c", program, *tried],
            volume,
            user=user,
            env=environment(compose, 0),
            stdout=subprocess.PIPE,
        )
        assert process.communicate()[0].decode().split() == [f"{VOLUME}/new", "/tmp/new"]
