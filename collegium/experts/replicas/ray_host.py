"""The actor that runs an engine on a node of a Ray cluster."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from pathlib import Path

import ray
import ray.util

from collegium.errors import SetupError
from collegium.experts.embedded import BASE_MODEL, ensure_base_model
from collegium.experts.placement.nvml import gpus
from collegium.experts.process import Command, LocalLauncher, LocalProcess
from collegium.experts.roster import SPARSE_MODEL
from collegium.experts.sparse.model import ensure_sparse_model
from collegium.experts.vllm import EngineSpec

MADE = {BASE_MODEL: ensure_base_model, SPARSE_MODEL: ensure_sparse_model}
"""Models that every node makes by itself, from packages."""


class EngineHost:
    """Starts one engine, watches it, and ends it. The engine ends when this process does."""

    def __init__(self) -> None:
        self._process: LocalProcess | None = None

    async def start(
        self, spec: EngineSpec, log: Path, command: Command, *, own_python: bool
    ) -> tuple[str, str]:
        """Start the engine; return its address and the node's. SetupError if that is impossible.

        With `own_python` by this node's interpreter, which need not be where the service's is.
        """
        address = ray.util.get_node_ip_address()
        here = replace(spec, host=address, port=0)
        if own_python:
            here = replace(here, python=Path(sys.executable))
        if ray.get_gpu_ids():
            here = replace(here, capability=min((gpu.capability for gpu in gpus()), default=None))
        try:
            await asyncio.to_thread(_require_model, spec.model_path, address)
            self._process = await LocalLauncher(command).launch(here, log)
        except SetupError as exc:
            raise SetupError(str(exc)) from None  # others can't be sent to the service
        return self._process.base_url, address

    async def wait(self) -> str:
        """Return why the engine ended, when it has."""
        return await self._running.wait()

    async def last_error(self) -> str | None:
        """Return the last error of an engine that has ended."""
        return await self._running.last_error()

    async def end(self, grace_s: float) -> None:
        """End the engine."""
        if self._process is not None:
            await self._process.end(grace_s)

    @property
    def _running(self) -> LocalProcess:
        assert self._process is not None
        return self._process


def _require_model(folder: Path, address: str) -> None:
    if folder.is_dir():
        return
    if (make := MADE.get(folder.name)) is None:
        raise SetupError(
            f"the node {address} has no folder '{folder}': put the model on every node under the "
            "same path, for example on a shared file system"
        )
    make(folder.parent)
