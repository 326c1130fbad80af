"""Real servers for tests: each in a temporary folder, on a free loopback port, gone afterwards."""

from __future__ import annotations

import contextlib
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.repository import ROOT

PASSWORD = "s3cret-of-the-tests"
_START_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class PostgresServer:
    """A running PostgreSQL; its administrator is called `collegium`."""

    port: int
    programs: Path
    process: subprocess.Popen[bytes]
    command: tuple[str, ...]
    folder: Path
    user: str | None

    @contextmanager
    def again(self) -> Iterator[None]:
        """Start it once more after it was killed, with what it had on disk."""
        with _process(list(self.command), self.folder, signal.SIGQUIT, self.user) as process:
            _wait(process, self.folder, self._answers)
            yield

    def _answers(self) -> bool:
        probe = [str(self.programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(probe, check=False).returncode == 0

    def url(self, database: str = "postgres", password: str = PASSWORD) -> str:
        """Return SQLAlchemy's URL of one of its databases."""
        return f"postgresql+asyncpg://collegium:{password}@127.0.0.1:{self.port}/{database}"

    def empty_database(self, name: str = "tests") -> str:
        """Make this database, or empty it if it is there, and return its URL.

        A new database takes 7 MB in 900 files, so tests that come one after the other share one.
        """
        known = self._sql("postgres", "SELECT datname FROM pg_database").split()
        if name not in known:
            self._sql("postgres", f"CREATE DATABASE {name}")
        else:
            self._sql(name, "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        return self.url(name)

    def _sql(self, database: str, statements: str) -> str:
        address = ["-h", "127.0.0.1", "-p", str(self.port), "-U", "collegium", "-d", database]
        options = ["-X", "-q", "-t", "-v", "ON_ERROR_STOP=1", "-c", statements]
        environment = {"PGPASSWORD": PASSWORD, "PGOPTIONS": "-c lock_timeout=30s"}
        return _run(str(self.programs / "psql"), *address, *options, env=environment)


@dataclass(frozen=True)
class RedisServer:
    """A running Redis that wants a password."""

    port: int
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """Return its URL."""
        return f"redis://:{PASSWORD}@127.0.0.1:{self.port}/0"


@contextmanager
def app_server(app: str) -> Iterator[str]:
    """Start an application that serves /v1/models, named as uvicorn does; give its address."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", app, "--port", str(port), "--log-level", "warning"]
    with subprocess.Popen(command, cwd=ROOT) as process:
        url = f"http://127.0.0.1:{port}/v1"
        deadline = time.monotonic() + _START_TIMEOUT_S
        while True:
            try:
                httpx.get(f"{url}/models")
                break
            except httpx.TransportError:
                assert time.monotonic() < deadline, f"{app} did not start"
                time.sleep(0.1)
        yield url
        process.terminate()


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Start a PostgreSQL whose passwords are checked; it loses everything in a power cut."""
    initdb = find_program("initdb", package="postgresql", folders="/usr/lib/postgresql/*/bin")
    user = _ordinary_user()
    programs = initdb.resolve().parent  # it may have been found through a link
    with _folder(user) as folder:
        password = folder / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        data = folder / "data"
        login = ["--username=collegium", "--auth=scram-sha-256", f"--pwfile={password}"]
        _run(str(initdb), f"--pgdata={data}", *login, "--no-sync", "--encoding=UTF8", user=user)

        port = free_port()
        command = [str(programs / "postgres"), "-D", str(data)]
        command += ["-k", str(folder), "-p", str(port)]
        options = [
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            "fsync=off",
            "-c",
            "max_connections=60",
        ]
        # SIGQUIT stops it without writing everything down: that took up to 20 s.
        command += options
        with _process(command, folder, signal.SIGQUIT, user) as process:
            server = PostgresServer(port, programs, process, tuple(command), folder, user)
            _wait(process, folder, server._answers)
            yield server


@contextmanager
def redis_server(port: int | None = None) -> Iterator[RedisServer]:
    """Start a Redis that keeps nothing on disk, on a free port or where one was before."""
    program = find_program("redis-server", package="redis-server")
    port = port or free_port()
    options = ["--bind", "127.0.0.1", "--port", str(port), "--requirepass", PASSWORD]
    with _folder(None) as folder:
        command = [str(program), *options, "--save", "", "--dir", str(folder)]
        with _process(command, folder, signal.SIGTERM) as process:
            _wait(process, folder, lambda: _listens(port))
            yield RedisServer(port, process)


def find_program(name: str, *, package: str, folders: str = "") -> Path:
    """Return a program on the PATH or in one of the folders; say which package has it."""
    if found := shutil.which(name):
        return Path(found)
    places = sorted(Path("/").glob(f"{folders.lstrip('/')}/{name}")) if folders else []
    if not places:
        raise RuntimeError(f"this test needs '{name}': apt-get install {package}")
    return places[-1]


def free_port() -> int:
    """Return a loopback port that nobody listens on.

    Below those that the system gives to clients: one of these may be taken before it is used.
    """
    anybody = random.SystemRandom()  # workers of pytest-xdist share a seed
    while True:
        port = anybody.randrange(20_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _ordinary_user() -> str | None:
    """Name the user to run PostgreSQL as: it refuses root. Debian's package makes `postgres`."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


@contextmanager
def _folder(user: str | None) -> Iterator[Path]:
    """Make a folder that the user owns. Pytest's own ones are closed to other users."""
    folder = Path(tempfile.mkdtemp(prefix="collegium-server-"))
    try:
        if user is not None:
            shutil.chown(folder, user)
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def _process(
    command: list[str], folder: Path, stop: signal.Signals, user: str | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=subprocess.STDOUT, user=user
        )
    try:
        yield process
    finally:
        process.send_signal(stop)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _run(*command: str, user: str | None = None, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        command, user=user, env=env, cwd="/", capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} failed: {done.stdout}{done.stderr}")
    return done.stdout


def _wait(process: subprocess.Popen[bytes], folder: Path, ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the server did not start: {(folder / 'log').read_text()}")
        time.sleep(0.05)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
