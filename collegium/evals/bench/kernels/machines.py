"""The devices of `collegium bench kernels`: their contenders, timers and probes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from collegium.errors import SetupError
from collegium.evals.bench.kernels import contenders as kernel_contenders
from collegium.evals.bench.kernels import cuda as kernel_cuda
from collegium.evals.bench.kernels.contenders import Others, Run
from collegium.evals.bench.kernels.layers import Batch, Shape
from collegium.evals.core.provenance import processor
from collegium.kernels.moe.formats import Format
from collegium.kernels.moe.isa import chosen

MIB = 1 << 20


@dataclass(frozen=True)
class Sizes:
    """Of the probes: bytes that are read, and rows of the square matrices."""

    read: int
    matmul: int


class Machine(Protocol):
    """A processor or a GPU."""

    device: str
    name: str
    isa: str
    formats: tuple[Format, ...]
    sizes: Sizes

    def contenders(self, shape: Shape, form: Format, others: Others) -> Iterator[tuple[str, Run]]:
        """Return the contenders for a format."""
        ...

    def placed(self, given: Batch) -> Batch:
        """The batch where it is computed."""
        ...

    def seconds(self, call: Callable[[], Any]) -> float:
        """How long a call takes."""
        ...

    def probes(self) -> Mapping[str, Callable[[], Any]]:
        """`read` and `matmul`, with memory of their own."""
        ...


class Cpu:
    """This machine's processor, on so many of torch's threads as are set."""

    device = "cpu"
    formats: tuple[Format, ...] = (Format.BF16, Format.INT8, Format.INT4, Format.FP8)
    sizes = Sizes(256 * MIB, 1024)

    def __init__(self) -> None:
        self.name, self.isa = processor(), str(chosen())

    def contenders(self, shape: Shape, form: Format, others: Others) -> Iterator[tuple[str, Run]]:
        """Ours in C++, and everyone who is installed."""
        return kernel_contenders.contenders(shape, form, others)

    def placed(self, given: Batch) -> Batch:
        """As it is."""
        return given

    def seconds(self, call: Callable[[], Any]) -> float:
        """On one thread the processor's, which don't grow when others want the same core."""
        clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
        started = clock()
        call()
        return clock() - started

    def probes(self) -> Mapping[str, Callable[[], Any]]:
        """A sum over memory, and oneDNN's bfloat16 product."""
        memory = torch.ones(self.sizes.read // 4)
        square = torch.ones(self.sizes.matmul, self.sizes.matmul, dtype=torch.bfloat16)
        return {"read": memory.sum, "matmul": lambda: square @ square}


class Cuda:
    """The first GPU that torch sees."""

    device = "cuda"
    formats: tuple[Format, ...] = (Format.BF16,)
    sizes = Sizes(1024 * MIB, 8192)

    def __init__(self) -> None:
        if not torch.cuda.is_available():
            raise SetupError(
                f"--device cuda needs a GPU, and torch {torch.__version__} sees none; run it where "
                "torch.cuda.is_available(), or measure this processor with --device cpu"
            )
        self.name, self.isa = torch.cuda.get_device_name(), "triton"
        self._flush = torch.empty(256 * MIB, dtype=torch.uint8, device="cuda")

    def contenders(self, shape: Shape, form: Format, others: Others) -> Iterator[tuple[str, Run]]:
        """Ours in Triton, vLLM's Triton kernel and torch's grouped product.

        SetupError where ours fails its check: times of wrong results would mean nothing.
        """
        from collegium.kernels.moe.triton_check import problem
        from collegium.kernels.moe.triton_tiles import Layer

        layer = Layer(torch.bfloat16, shape.experts, shape.hidden, shape.inter)
        wrong = problem(layer, torch.device("cuda"))
        if wrong is not None:
            raise SetupError(f"our Triton kernels fail their check on this GPU: {wrong}")
        return kernel_cuda.contenders(shape, others, "cuda")

    def placed(self, given: Batch) -> Batch:
        """On the GPU."""
        return given.to("cuda")

    def seconds(self, call: Callable[[], Any]) -> float:
        """Between two events, with cold caches.

        The GPU sleeps first (2 million cycles, about a millisecond), so that what a call launches
        waits in line and the time to launch it does not count, as in a CUDA graph.
        """
        event: Any = torch.cuda.Event  # has no types
        started, ended = event(enable_timing=True), event(enable_timing=True)
        self._flush.zero_()
        torch.cuda._sleep(2_000_000)  # type: ignore[no-untyped-call]
        started.record()
        call()
        ended.record()
        torch.cuda.synchronize()
        return float(started.elapsed_time(ended)) / 1000

    def probes(self) -> Mapping[str, Callable[[], Any]]:
        """A sum over memory, and cuBLAS's bfloat16 product."""
        memory = torch.ones(self.sizes.read // 4, device="cuda")
        size = self.sizes.matmul, self.sizes.matmul
        square = torch.ones(size, dtype=torch.bfloat16, device="cuda")
        return {"read": memory.sum, "matmul": lambda: square @ square}
