"""What the token router's statistics count."""

from __future__ import annotations

import torch

from collegium.kernels.moe.statistics import LayerStatistics


def test_statistics_add_up_over_batches() -> None:
    """Counts, mass, pairs and skipped slots of two batches, checked by hand."""
    layer = LayerStatistics(4)
    layer.observe(torch.tensor([[0, 1], [1, -1]]), torch.tensor([[0.75, 0.25], [1.0, 0.0]]))
    layer.observe(torch.tensor([[1, 0]]), torch.tensor([[0.5, 0.5]]))

    report = layer.report()
    assert report["tokens"] == 3
    assert report["skipped_slots"] == 1
    assert report["counts"] == [2, 3, 0, 0]
    assert report["mass"] == [1.25, 1.75, 0.0, 0.0]
    assert report["co_activation"][0] == [2, 2, 0, 0]
    assert report["co_activation"][1] == [2, 3, 0, 0]
    assert report["entropy_bits"] == 0.971  # of 2/5 and 3/5


def test_even_use_has_the_most_entropy() -> None:
    """log2 of the number of experts; one expert alone has none."""
    even, single = LayerStatistics(4), LayerStatistics(4)
    even.observe(torch.tensor([[0, 1], [2, 3]]), torch.full((2, 2), 0.5))
    single.observe(torch.tensor([[2], [2]]), torch.ones(2, 1))

    assert even.entropy_bits() == 2.0
    assert single.entropy_bits() == 0.0
