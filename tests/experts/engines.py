"""Supervised stub engines, and what tests ask of processes."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from collegium.experts.supervisor import Patience, Status, Supervisor
from collegium.experts.vllm import EngineSpec, as_child
from collegium.registry.engine import Engine

STUB = Path(__file__).with_name("stub_engine.py")
IMPATIENT = Patience(
    poll_s=0.02,
    health_every_s=0.05,
    health_timeout_s=0.5,
    strikes=2,
    stop_grace_s=5.0,
    first_backoff_s=0.1,
    longest_backoff_s=0.4,
    most_failures=100,
    stall_s=0.5,
)
SOON_S = 90.0  # on a machine with other work to do


class WatchedSupervisor(Supervisor):
    """A supervisor that keeps every status it ever had."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.statuses: list[Status] = []
        super().__init__(*arguments, **options)

    @property
    def status(self) -> Status:
        """The last one."""
        return self.statuses[-1]

    @status.setter
    def status(self, status: Status) -> None:
        self.statuses.append(status)


def spec_of(name: str, folder: Path, *, port: int = 0, **options: Any) -> EngineSpec:
    """An engine of the model in a folder."""
    return EngineSpec(Engine(name=name, model_path=str(folder), **options), port=port)


class StubEngine:
    """A supervised stub in the place of vLLM."""

    def __init__(self, folder: Path, *, patience: Patience = IMPATIENT, **options: Any) -> None:
        self.folder = folder
        spec = options.pop("spec", spec_of("stub", folder))
        self.supervisor = WatchedSupervisor(
            spec,
            folder / "logs" / "stub.log",
            command=options.pop("command", self.command),
            patience=patience,
            **options,
        )

    def command(self, spec: EngineSpec, port: int) -> list[str]:
        """The stub in the place of vLLM."""
        return as_child([sys.executable, str(STUB), str(port), str(self.folder)])

    def let(self, what: str) -> None:
        """Let it misbehave from now on."""
        (self.folder / what).touch()

    def no_longer(self, what: str) -> None:
        """Let it behave again."""
        (self.folder / what).unlink()

    async def ready(self, times: int = 1) -> Status:
        """Wait until it was ready so often, and return that status."""
        await until(lambda: len(self.having("ready")) >= times)
        return self.having("ready")[times - 1]

    @property
    def statuses(self) -> list[Status]:
        """All statuses since it was made."""
        return self.supervisor.statuses[1:]

    def having(self, state: str) -> list[Status]:
        """The statuses of one state."""
        return [status for status in self.statuses if status.state == state]


@asynccontextmanager
async def stub_engine(folder: Path, *flags: str, **options: Any) -> AsyncIterator[StubEngine]:
    """Start a stub that misbehaves as the flags say; stop it at the end."""
    engine = StubEngine(folder, **options)
    for flag in flags:
        engine.let(flag)
    await engine.supervisor.start()
    try:
        yield engine
    finally:
        await engine.supervisor.stop()


async def until(true: Callable[[], object], *, timeout_s: float = SOON_S) -> None:
    """Wait for something that happens soon."""
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, "it did not happen"
        await asyncio.sleep(0.02)


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and that nobody asked about does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"
