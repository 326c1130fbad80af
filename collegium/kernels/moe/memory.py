"""Where packed weights lie: in huge pages, which the processor walks through without a stop.

On a virtual machine each 4 KiB page costs a walk of two page tables, and prefetching ends with the
page: one thread of Zen 4 read 17 to 20 GB/s from small pages and 32 to 35 GB/s from huge ones.
"""

from __future__ import annotations

import contextlib
import mmap

import torch
from torch import Tensor

HUGE = 2 << 20  # bytes of a huge page of x86 and of most ARM kernels


def in_huge_pages(tensor: Tensor) -> Tensor:
    """A contiguous copy in huge pages where the system gives them; a small tensor is only made so.

    The tensor holds the mapping, which ends with it.
    """
    size = tensor.nbytes
    if size < HUGE or not hasattr(mmap, "MADV_HUGEPAGE"):
        return tensor.contiguous()
    memory = mmap.mmap(-1, size + HUGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):  # a kernel without them: the mapping serves as it is
        memory.madvise(mmap.MADV_HUGEPAGE)
    whole = torch.frombuffer(memory, dtype=torch.uint8)
    start = -whole.data_ptr() % HUGE
    placed = whole[start : start + size].view(tensor.dtype).view(tensor.shape)
    return placed.copy_(tensor)
