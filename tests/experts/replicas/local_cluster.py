"""A real Ray cluster of several raylets on this machine, and a machine of it that is lost."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

PROGRAM = Path(__file__).with_name("engine_program.py")
PYTHON = """#!{python}
# Stands for an interpreter that has vLLM.
import os, sys
os.execv({python!r}, [{python!r}, {program!r}, *sys.argv[3:]])
"""
STORE = 80 * 2**20
MEMORY = 8 * 2**30


@dataclass
class LocalCluster:
    """A head without resources, and nodes by name that run engines."""

    cluster: Any
    nodes: dict[str, Any] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """Of its head."""
        return str(self.cluster.address)

    def add(self, name: str, *, cpus: int = 2) -> None:
        """Start a node."""
        self.nodes[name] = self.cluster.add_node(
            num_cpus=cpus, memory=MEMORY, object_store_memory=STORE, resources={name: 1.0}
        )

    @contextmanager
    def without(self, name: str) -> Iterator[None]:
        """Lose a machine, which is replaced by another one of its name afterwards."""
        self.lose(name)
        try:
            yield
        finally:
            self.add(name)

    def lose(self, name: str) -> None:
        """Lose a machine: all that runs there is killed, Ray's own processes and engines."""
        node = self.nodes.pop(name)
        raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
        family = [raylet, *raylet.children(recursive=True)]
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.cluster.remove_node(node, allow_graceful=False)


@contextmanager
def local_cluster(*names: str) -> Iterator[LocalCluster]:
    """Start a cluster with these nodes, which are gone afterwards."""
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": STORE}
    found = LocalCluster(Cluster(initialize_head=True, head_node_args=head))
    try:
        for name in names:
            found.add(name)
        yield found
    finally:
        found.cluster.shutdown()


def engine_python(folder: Path) -> Path:
    """The interpreter to run engines with; makes it in the folder."""
    python = folder / "python"
    python.write_text(PYTHON.format(python=sys.executable, program=str(PROGRAM)))
    python.chmod(0o700)
    return python


def model_folder(folder: Path) -> Path:
    """A folder that an engine can be registered with; makes it."""
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "llama"}')
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder
