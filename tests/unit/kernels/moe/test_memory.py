"""Huge pages: the values survive, and the system counts the pages where it gives them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from collegium.kernels.moe.memory import HUGE, in_huge_pages

SWITCH = Path("/sys/kernel/mm/transparent_hugepage/enabled")


@pytest.mark.parametrize("kind", [torch.uint8, torch.float32])
@pytest.mark.parametrize("rows", [0, 3, 5000])
def test_the_copy_equals_the_tensor(kind: torch.dtype, rows: int) -> None:
    """Small, large and empty, and from a tensor that is not contiguous."""
    tensor = (torch.arange(rows * 1024) % 251).to(kind).view(1024, rows).T
    copy = in_huge_pages(tensor)
    assert torch.equal(copy, tensor)
    assert copy.is_contiguous()
    assert copy.dtype is kind
    if tensor.nbytes >= HUGE:
        assert copy.data_ptr() % HUGE == 0


@pytest.mark.skipif(
    not SWITCH.is_file() or "[never]" in SWITCH.read_text(), reason="no huge pages here"
)
def test_the_system_gives_huge_pages() -> None:
    """`AnonHugePages` of the mapping, in /proc/self/smaps."""
    copy = in_huge_pages(torch.ones(16 * HUGE, dtype=torch.uint8))
    inside = False
    huge = 0
    for line in Path("/proc/self/smaps").read_text().splitlines():
        first = line.split()[0]
        if "-" in first and not first.endswith(":"):
            low, high = (int(end, 16) for end in first.split("-"))
            inside = low <= copy.data_ptr() < high
        elif inside and first == "AnonHugePages:":
            huge += int(line.split()[1]) << 10
    assert huge >= 8 * HUGE
