"""NVML without a driver: the calls of `pynvml` that we use, on cards that a test describes."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field

import pytest

GIB = 2**30


class NVMLError(Exception):
    """What the library raises."""


@dataclass
class Memory:
    """As `nvmlDeviceGetMemoryInfo` tells it, bytes."""

    total: int
    free: int
    used: int


@dataclass
class Process:
    """As `nvmlDeviceGetComputeRunningProcesses` tells it; the size is None in some containers."""

    pid: int
    usedGpuMemory: int | None


@dataclass
class FakeCard:
    """One card and what runs on it: GiB by process."""

    memory_gib: float = 80.0
    name: str = "NVIDIA H100 80GB HBM3"
    capability: tuple[int, int] = (9, 0)
    processes: dict[int, float | None] = field(default_factory=dict)
    mig: bool | None = None
    """Whether it is divided; None for a model that can't be."""
    lost: bool = False
    """Whether it has fallen off the bus."""


class FakeNvml:
    """Stands in for the module `pynvml`."""

    NVMLError = NVMLError

    def __init__(self, *cards: FakeCard, driver: str = "580.65.06", broken: bool = False) -> None:
        self.cards, self.driver, self.broken = list(cards), driver, broken
        self.users = 0
        """Those that have initialised it and not shut it down."""

    def nvmlInit(self) -> None:
        """Fail where there is no driver."""
        if self.broken:
            raise NVMLError("Driver Not Loaded")
        self.users += 1

    def nvmlShutdown(self) -> None:
        """One user less."""
        self.users -= 1

    def nvmlSystemGetDriverVersion(self) -> str:
        """The driver's version; an empty one can't be told."""
        self._require_user()
        if not self.driver:
            raise NVMLError("Unknown Error")
        return self.driver

    def nvmlDeviceGetCount(self) -> int:
        """The number of cards."""
        self._require_user()
        return len(self.cards)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> FakeCard:
        """A card."""
        self._require_user()
        if self.cards[index].lost:
            raise NVMLError("GPU is lost")
        return self.cards[index]

    def nvmlDeviceGetUUID(self, card: FakeCard) -> str:
        """Its UUID, which here begins with its index."""
        return f"GPU-{next(i for i, c in enumerate(self.cards) if c is card)}f1c"

    def nvmlDeviceGetMigMode(self, card: FakeCard) -> tuple[int, int]:
        """Whether it is divided, now and after the next reset."""
        if card.mig is None:
            raise NVMLError("Not Supported")
        return int(card.mig), int(card.mig)

    def nvmlDeviceGetName(self, card: FakeCard) -> str:
        """Its name."""
        return card.name

    def nvmlDeviceGetMemoryInfo(self, card: FakeCard) -> Memory:
        """Its memory."""
        used = sum(gib or 0.0 for gib in card.processes.values())
        sizes = (round(gib * GIB) for gib in (card.memory_gib, card.memory_gib - used, used))
        return Memory(*sizes)

    def nvmlDeviceGetCudaComputeCapability(self, card: FakeCard) -> tuple[int, int]:
        """Its compute capability."""
        return card.capability

    def nvmlDeviceGetComputeRunningProcesses(self, card: FakeCard) -> list[Process]:
        """What runs on it."""
        return [
            Process(pid, None if gib is None else round(gib * GIB))
            for pid, gib in card.processes.items()
        ]

    def _require_user(self) -> None:
        if self.users < 1:
            raise NVMLError("Uninitialized")


def install(monkeypatch: pytest.MonkeyPatch, nvml: FakeNvml | None) -> None:
    """Let `import pynvml` find this one; None: no such package."""
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
