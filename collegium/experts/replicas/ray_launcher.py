"""Start engines on the nodes of a Ray cluster, which chooses the node by what an engine needs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from collegium.errors import SetupError
from collegium.experts import vllm
from collegium.experts.engine_flags import value_of
from collegium.experts.memory import GIB, PROCESS_GIB, engine_gib
from collegium.experts.vllm import EngineSpec, is_taken

NAMESPACE = "collegium"
UNHEARD = 2
"""So many times in a row, a second apart, neither host nor engine answers one that is lost."""
END_S = 5.0
"""How long a host may take beyond the time that its engine has to end."""


class RayCluster:
    """The connection to a cluster, made when the first engine is started."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._lock = asyncio.Lock()

    async def connect(self) -> None:
        """Connect unless that is done; raise SetupError if the cluster can't be reached."""
        async with self._lock:
            await asyncio.to_thread(self._connect)

    def _connect(self) -> None:
        os.environ.setdefault("RAY_DISABLE_FAILURE_SIGNAL_HANDLER", "1")  # SIGTERM is ours
        import ray  # in this thread: in the main one it would replace our handler of SIGTERM

        if ray.is_initialized():
            return
        try:
            ray.init(
                address=self.address,
                namespace=NAMESPACE,
                log_to_driver=False,
                logging_level=logging.WARNING,
            )
        except (ConnectionError, RuntimeError, ValueError, TimeoutError) as exc:
            raise SetupError(
                f"can't reach the Ray cluster at '{self.address}': {exc}. Is this machine one of "
                "its nodes? Join it with `ray start --address=HEAD:6379 --num-cpus=0`"
            ) from exc


class RayLauncher:
    """Starts each engine in an actor of its own."""

    waits = "waiting for a node of the Ray cluster"

    def __init__(self, cluster: RayCluster, *, cpus: float = 1.0) -> None:
        self._cluster = cluster
        self._cpus = cpus

    async def launch(self, spec: EngineSpec, log: Path) -> RayProcess:
        """Start an engine on the node that Ray chooses, as soon as one has room for it."""
        await self._cluster.connect()
        import ray

        from collegium.experts.replicas.ray_host import EngineHost

        needs = needs_of(spec, cpus=self._cpus, cards=ray.cluster_resources().get("GPU", 0) > 0)
        # Our supervisor starts it again; Ray would do so without a pause, and for this reason only.
        actor = (
            ray.remote(EngineHost)
            .options(**needs, scheduling_strategy="SPREAD", max_restarts=0)
            .remote()
        )
        try:
            own = spec.python == Path(sys.executable)
            base_url, node = await actor.start.remote(spec, log, vllm.command, own_python=own)
        except ray.exceptions.RayTaskError as exc:
            ray.kill(actor)
            if isinstance(exc.cause, SetupError):
                raise exc.cause from exc
            raise SetupError(f"the engine can't be started on its node: {exc.cause}") from exc
        except ray.exceptions.RayError as exc:
            ray.kill(actor)
            raise SetupError(f"the node was lost that was to start the engine: {exc}") from exc
        except BaseException:
            ray.kill(actor)
            raise
        return RayProcess(actor, base_url, node)


class RayProcess:
    """An engine in an actor."""

    pid: int | None = None

    def __init__(self, actor: Any, base_url: str, node: str) -> None:
        self.base_url = base_url
        self.node = node
        self._actor = actor
        self._end = asyncio.create_task(self._watch(), name=f"watch {base_url}")

    @property
    def ended(self) -> str | None:
        """Why it ended, as its host tells; that its host was lost, if nobody tells any more."""
        return self._end.result() if self._end.done() else None

    async def wait(self) -> str:
        """Return why it ended, when it has."""
        return await asyncio.shield(self._end)

    async def last_error(self) -> str | None:
        """Ask its host."""
        from ray.exceptions import RayError

        with contextlib.suppress(RayError):
            return str(error) if (error := await self._actor.last_error.remote()) else None
        return None

    async def end(self, grace_s: float) -> None:
        """Ask its host to end it, then end the host and so what is left."""
        import ray

        with contextlib.suppress(ray.exceptions.RayError, TimeoutError):
            async with asyncio.timeout(grace_s + END_S):
                if not self._end.done() or not self._is_lost():
                    await self._actor.end.remote(grace_s)
        self._end.cancel()
        with contextlib.suppress(ray.exceptions.RayError):
            ray.kill(self._actor)

    def _is_lost(self) -> bool:
        return self._end.result() == self._lost

    @property
    def _lost(self) -> str:
        return f"the node {self.node} was lost, or the engine's host on it"

    async def _watch(self) -> str:
        from ray.exceptions import ActorUnavailableError, RayError

        unheard = 0
        while unheard < UNHEARD:
            try:
                return str(await self._actor.wait.remote())
            except ActorUnavailableError:  # Ray itself takes a quarter of a minute to be sure
                unheard = 0 if await asyncio.to_thread(self._listens) else unheard + 1
                await asyncio.sleep(1.0)
            except RayError:
                break
        return self._lost

    def _listens(self) -> bool:
        address = urlsplit(self.base_url)
        return is_taken(address.hostname or "", address.port or 0)


def needs_of(spec: EngineSpec, *, cpus: float, cards: bool) -> Mapping[str, Any]:
    """What an engine needs of its node, as Ray counts it: whole GPUs where the cluster has some."""
    if not cards:
        return {"num_cpus": cpus, "memory": int(engine_gib(spec) * GIB)}
    parallel = value_of(spec.flags, "tensor-parallel-size") or ""
    gpus = int(parallel) if parallel.isdecimal() else 1
    return {"num_cpus": cpus, "num_gpus": gpus, "memory": int(PROCESS_GIB * GIB)}
