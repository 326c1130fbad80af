"""Run peers' routers: one process per package, with a time limit."""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from collegium.errors import PeerFailed
from collegium.evals.peers.catalogue import wanted
from collegium.evals.peers.environment import Environments
from collegium.evals.peers.exchange import ANSWER, Task, read_answer, write_task
from collegium.evals.routing.choosing import Choice
from collegium.evals.routing.lessons import Exam, Lesson, Peer
from collegium.experts.vllm import as_child

LIMIT_S = 600
"""Seconds that a router may take to learn and to route one fold of a set."""


class Worker:
    """A peer's process, which stays for the next task: importing llmrouter takes 12 s of a core."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._home = tempfile.TemporaryDirectory(prefix="collegium-peer-")
        self._log = Path(self._home.name) / "log.txt"
        self._process: subprocess.Popen[str] | None = None

    def ask(self, folder: Path, peer: str, limit_s: float) -> None:
        """Wait until the task in `folder` has its answer; PeerFailed if none comes."""
        process = self._started()
        try:
            assert process.stdin is not None
            process.stdin.write(f"{folder}\n")
            process.stdin.flush()
            self._wait(process, folder / ANSWER, peer, limit_s)
        except BrokenPipeError as exc:
            raise PeerFailed(peer, _last_line(self._log)) from exc
        finally:
            if not (folder / ANSWER).is_file():
                self.stop()

    def stop(self) -> None:
        """End the process, and those that it started."""
        process, self._process = self._process, None
        if process is not None:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()

    def close(self) -> None:
        """Stop, and leave nothing behind."""
        self.stop()
        self._home.cleanup()

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            with self._log.open("w") as log:
                self._process = subprocess.Popen(
                    self._command,
                    cwd=self._home.name,
                    env=_surroundings(self._home.name),
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    text=True,
                )
        return self._process

    def _wait(
        self, process: subprocess.Popen[str], answer: Path, peer: str, limit_s: float
    ) -> None:
        started = time.monotonic()
        with tqdm(total=round(limit_s), desc=peer, unit="s", leave=False) as bar:
            while not answer.is_file():
                elapsed = time.monotonic() - started
                if process.poll() is not None:
                    raise PeerFailed(peer, _last_line(self._log))
                if elapsed > limit_s:
                    why = f"it was stopped after {limit_s:g} s; --peer-limit gives it longer"
                    raise PeerFailed(peer, why)
                bar.update(int(elapsed) - bar.n)
                time.sleep(0.1)


@dataclass(frozen=True)
class Visitor:
    """One router of a peer; called with a lesson and an exam, it says whom it chooses."""

    name: str
    router: str
    worker: Worker
    seed: int = 0
    limit_s: float = LIMIT_S

    def __call__(self, lesson: Lesson, exam: Exam) -> Choice:
        """Learn and choose in the peer's process; PeerFailed if that comes to no good end."""
        task = Task(
            self.router, self.seed, lesson.prompts, lesson.X, lesson.y, exam.prompts, exam.X
        )
        with tempfile.TemporaryDirectory(prefix="collegium-peer-") as name:
            folder = Path(name)
            write_task(task, folder)
            self.worker.ask(folder, self.name, self.limit_s)
            return read_answer(folder, task, self.name)


@contextmanager
def visiting(
    names: Sequence[str], cache_dir: Path, *, seed: int = 0, limit_s: float = LIMIT_S
) -> Iterator[dict[str, Peer]]:
    """Install the peers of these names; their processes end with the context.

    A name that is unknown, or a package that can't be installed, is a SetupError.
    """
    environments, workers = Environments(cache_dir / "peers"), dict[str, Worker]()
    found = {}
    with ExitStack() as stack:
        for name, (package, router) in wanted(names).items():
            if package.name not in workers:
                adapter = f"collegium.evals.peers.adapters.{package.adapter}"
                # -P: the folder it runs in is not searched for modules.
                command = [str(environments.python(package)), "-P", "-m", adapter]
                workers[package.name] = Worker(as_child(command))  # it ends when we are killed
                stack.callback(workers[package.name].close)
            visitor = Visitor(name, router, workers[package.name], seed, limit_s)
            found[name] = Peer(visitor, f"{package.name} {package.version}", package.pairs_only)
        yield found


def _surroundings(home: str) -> dict[str, str]:
    """Keep the peer off the network and away from our keys and paths."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return kept | {
        "HF_HOME": home,
        "HF_HUB_OFFLINE": "1",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "OPENAI_API_KEY": "unused",  # routellm makes a client when it is imported
        "PYTHONHASHSEED": "0",
    }


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1].strip()[:300] if lines else "it ended without a word"
