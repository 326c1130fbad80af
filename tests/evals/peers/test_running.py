"""A peer's process: it stays for the next task, and its failures and limits are told."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from collegium.errors import PeerFailed, SetupError
from collegium.evals.peers import environment, running
from collegium.evals.peers.catalogue import PACKAGES, Package, known, wanted
from collegium.evals.peers.environment import Environments, shared_paths
from collegium.evals.routing.choosing import Choice
from collegium.evals.routing.lessons import Exam, Lesson

LESSON = Lesson(
    np.eye(3), np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]), ("a", "b", "c"), ("t",) * 3,
    np.arange(3),
)  # fmt: skip
EXAM = Exam(np.eye(3)[:2], ("d", "e"), ("t", "t"))

STEADY = """
import os
import numpy as np
from collegium.evals.peers.exchange import serve
from collegium.evals.routing.choosing import Choice

def choose(task, folder):
    assert os.environ["OPENAI_API_KEY"] == "unused" and os.environ["HF_HUB_OFFLINE"] == "1"
    if task.router == "crash":
        raise ValueError("only one class")
    if task.router == "sleep":
        import time
        time.sleep(60)
    rank = np.full((len(task.new_prompts), 2), float(os.getpid()))
    return Choice(np.full(len(task.new_prompts), task.best_first[0]), rank)

serve(choose)
"""


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[running.Worker]:
    """Return a worker whose adapter is a small router of our own, in our own environment."""
    (tmp_path / "small_peer.py").write_text(STEADY)
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    paths = [str(tmp_path), *shared_paths()]
    code = f"import runpy, sys; sys.path[:0] = {paths!r}; runpy.run_module('small_peer')"
    made = running.Worker([sys.executable, "-c", code])
    yield made
    made.close()


def ask(worker: running.Worker, router: str, limit_s: float = 60) -> Choice:
    """Ask a router of the small peer."""
    return running.Visitor(f"small/{router}", router, worker, limit_s=limit_s)(LESSON, EXAM)


def test_a_peer_chooses_and_its_process_stays(worker: running.Worker) -> None:
    """Model 1 is best on average; the process's number shows that it is one for both tasks."""
    first, second = ask(worker, "good"), ask(worker, "good")
    assert first.chosen.tolist() == [1, 1]
    assert first.ranking is not None
    assert second.ranking is not None
    assert first.ranking[0, 0] == second.ranking[0, 0] != os.getpid()


def test_a_crash_is_told_and_the_next_task_is_answered(worker: running.Worker) -> None:
    """Its last words are the reason; a new process takes the next task."""
    with pytest.raises(PeerFailed, match="small/crash gave no answer: ValueError: only one class"):
        ask(worker, "crash")
    assert ask(worker, "good").chosen.tolist() == [1, 1]


def test_a_peer_that_takes_too_long_is_stopped(worker: running.Worker) -> None:
    """The message names the limit and the option."""
    with pytest.raises(PeerFailed, match=r"stopped after 0\.5 s; --peer-limit"):
        ask(worker, "sleep", limit_s=0.5)
    assert ask(worker, "good").chosen.tolist() == [1, 1]


@pytest.mark.slow
def test_a_real_peer_installs_and_routes(tmp_path: Path) -> None:
    """semantic-router from PyPI, the lightest, sends prompts to the route of their neighbours."""
    directions = np.repeat(np.eye(3), 10, axis=0)
    noise = np.random.default_rng(0).normal(scale=0.05, size=(30, 3))
    lesson = Lesson(
        directions + noise,
        directions,
        tuple(f"prompt {i}" for i in range(30)),
        ("t",) * 30,
        np.arange(30),
    )
    exam = Exam(np.eye(3)[[2, 0, 1]], ("x", "y", "z"), ("t",) * 3)
    with running.visiting(["semantic-router"], tmp_path) as peers:
        assert peers["semantic-router"].choose(lesson, exam).chosen.tolist() == [2, 0, 1]


def test_names_mean_routers_or_whole_packages() -> None:
    """In the order asked for, each once; an unknown name is told what there is."""
    assert list(wanted(["routellm", "semantic-router", "routellm/mf"])) == [
        "routellm/mf",
        "routellm/sw_ranking",
        "semantic-router",
    ]
    with pytest.raises(SetupError, match=r"unknown peer 'nope'; available: llmrouter-lib"):
        wanted(["routellm", "nope"])


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_everything_is_pinned_and_has_its_adapter(package: Package) -> None:
    """To exact versions; the adapter is a file beside the others."""
    assert all("==" in requirement for requirement in package.requirements)
    adapters = Path(running.__file__).parent / "adapters"
    assert (adapters / f"{package.adapter}.py").is_file()
    assert all(package.full_name(router) in known() for router in package.routers)


def test_a_package_that_can_t_be_had_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without an index, what people see names the peer and the way out; a retry starts anew."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(SetupError, match=r"semantic-router 1\.1\.1 can't be installed: ERROR") as e:
        Environments(tmp_path / "peers").python(wanted(["semantic-router"])["semantic-router"][0])
    assert "leave out --peer semantic-router" in str(e.value)
    assert not list((tmp_path / "peers").glob(f"*/{environment.MARKER}"))
