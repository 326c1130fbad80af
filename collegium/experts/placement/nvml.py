"""Query the NVIDIA GPUs of this machine through NVML (`nvidia-ml-py`)."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from collegium.experts.placement.plan import Card

log = logging.getLogger(__name__)
GIB = 2**30


@dataclass(frozen=True)
class Gpu:
    """One GPU, as NVML describes it."""

    index: int
    name: str
    memory_gib: float
    free_gib: float
    capability: tuple[int, int]
    """Compute capability, such as (8, 0) for an A100."""


def gpus() -> tuple[Gpu, ...]:
    """The GPUs that CUDA_VISIBLE_DEVICES leaves; none without nvidia-ml-py, driver or card.

    Left out, with a warning, are GPUs that can't be read and those that are divided (MIG): engines
    are placed on whole cards.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    with _nvml() as nvml:
        if nvml is None:
            return ()
        try:
            count = nvml.nvmlDeviceGetCount()
        except nvml.NVMLError:
            return ()
        found = [_readable(nvml, index) for index in range(count)]
    known = {uuid: gpu for uuid, gpu in (each for each in found if each is not None)}
    if visible is None:
        return tuple(known.values())
    wanted = _named(visible)
    return tuple(gpu for uuid, gpu in known.items() if _is_in(wanted, gpu.index, uuid))


def cards_here() -> list[Card]:
    """Return the GPUs as cards for a plan."""
    return [Card(gpu.index, gpu.memory_gib, gpu.name) for gpu in gpus()]


def driver() -> str | None:
    """Return the driver's version; None if NVML is not available."""
    with _nvml() as nvml:
        try:
            return None if nvml is None else _text(nvml.nvmlSystemGetDriverVersion())
        except nvml.NVMLError:
            return None


def used_gib(pids: set[int]) -> float | None:
    """Return the memory of these processes on all GPUs; None if the driver does not report it.

    In a container the driver often reports other process ids than the service sees, or no sizes.
    """
    with _nvml() as nvml:
        if nvml is None:
            return None
        used = 0.0
        try:
            for index in range(nvml.nvmlDeviceGetCount()):
                handle = nvml.nvmlDeviceGetHandleByIndex(index)
                for process in nvml.nvmlDeviceGetComputeRunningProcesses(handle):
                    if process.pid in pids:
                        if process.usedGpuMemory is None:
                            return None
                        used += process.usedGpuMemory / GIB
        except nvml.NVMLError:
            return None
        return used


@contextmanager
def _nvml() -> Iterator[Any]:
    """Return the initialised library; None if it, the driver or a card is missing."""
    try:
        import pynvml
    except ImportError:
        yield None
        return
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        yield None
        return
    try:
        yield pynvml
    finally:
        pynvml.nvmlShutdown()


def _readable(nvml: Any, index: int) -> tuple[str, Gpu] | None:
    """A GPU by its UUID; None where it is none that engines could be placed on."""
    try:
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        if _is_divided(nvml, handle):
            log.warning(
                "GPU %d is divided (MIG) and left out: engines are placed on whole cards; "
                "`nvidia-smi -i %d -mig 0` makes it one", index, index,
            )  # fmt: skip
            return None
        return _text(nvml.nvmlDeviceGetUUID(handle)), _gpu(nvml, index, handle)
    except nvml.NVMLError as exc:
        log.warning("GPU %d can't be read and is left out: %s", index, exc)
        return None


def _is_divided(nvml: Any, handle: Any) -> bool:
    try:
        current, _pending = nvml.nvmlDeviceGetMigMode(handle)
    except nvml.NVMLError:  # a model without MIG
        return False
    return bool(current)


def _gpu(nvml: Any, index: int, handle: Any) -> Gpu:
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    major, minor = nvml.nvmlDeviceGetCudaComputeCapability(handle)
    name = _text(nvml.nvmlDeviceGetName(handle))
    return Gpu(index, name, memory.total / GIB, memory.free / GIB, (major, minor))


def _named(visible: str) -> list[str]:
    """The words of CUDA_VISIBLE_DEVICES that count for CUDA: those before one that is -1."""
    words = [word.strip() for word in visible.split(",") if word.strip()]
    return words[: words.index("-1")] if "-1" in words else words


def _is_in(wanted: list[str], index: int, uuid: str) -> bool:
    """Whether a GPU is named by its index, or by its UUID or the beginning of that."""
    return any(
        word == str(index) or (word.startswith("GPU-") and uuid.startswith(word)) for word in wanted
    )


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
