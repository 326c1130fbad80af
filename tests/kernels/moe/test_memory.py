"""Huge pages: the values survive, and the system is asked for the pages."""

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


@pytest.mark.skipif(not SWITCH.is_file(), reason="a kernel without transparent huge pages")
def test_the_system_is_asked_for_huge_pages() -> None:
    """`hg` in the mapping's flags. How many are free then is the machine's state, not ours."""
    copy = in_huge_pages(torch.ones(16 * HUGE, dtype=torch.uint8))
    assert "hg" in flags_at(copy.data_ptr())
    assert "hg" not in flags_at(id(copy))


def flags_at(address: int) -> list[str]:
    """`VmFlags` of the mapping that holds an address, in /proc/self/smaps."""
    inside = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        first, *rest = line.split()
        if "-" in first and not first.endswith(":"):
            low, high = (int(end, 16) for end in first.split("-"))
            inside = low <= address < high
        elif inside and first == "VmFlags:":
            return rest
    raise AssertionError("the address is not mapped")
