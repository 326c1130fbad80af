"""Query the NVIDIA GPUs of this machine through NVML (`nvidia-ml-py`)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from collegium.experts.placement.plan import Card

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


def gpus(visible: str | None = None) -> tuple[Gpu, ...]:
    """Return the GPUs in CUDA_VISIBLE_DEVICES; none without nvidia-ml-py, a driver or a card."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES") if visible is None else visible
    with _nvml() as nvml:
        if nvml is None:
            return ()
        try:
            found = tuple(_gpu(nvml, i) for i in range(nvml.nvmlDeviceGetCount()))
        except nvml.NVMLError:
            return ()
    return found if visible is None else tuple(gpu for gpu in found if _is_in(visible, gpu))


def cards_here() -> list[Card]:
    """Return the GPUs as cards for a plan."""
    return [Card(gpu.index, gpu.memory_gib, gpu.name) for gpu in gpus()]


def driver() -> str | None:
    """Return the driver's version; None if NVML is not available."""
    with _nvml() as nvml:
        return None if nvml is None else _text(nvml.nvmlSystemGetDriverVersion())


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


def _gpu(nvml: Any, index: int) -> Gpu:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    major, minor = nvml.nvmlDeviceGetCudaComputeCapability(handle)
    name = _text(nvml.nvmlDeviceGetName(handle))
    return Gpu(index, name, memory.total / GIB, memory.free / GIB, (major, minor))


def _is_in(visible: str, gpu: Gpu) -> bool:
    """Whether CUDA_VISIBLE_DEVICES allows a GPU. If it contains UUIDs or MIG names, all are
    allowed."""
    words = [word.strip() for word in visible.split(",") if word.strip()]
    if not all(word.isdigit() for word in words):
        return True
    return str(gpu.index) in words


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
