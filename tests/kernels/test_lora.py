"""LoRA by groups of tokens, against the formula and against vLLM's own CPU path."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch
import vllm
from vllm.lora.layers import LoRAMapping
from vllm.lora.punica_wrapper.punica_cpu import PunicaWrapperCPU
from vllm.platforms.cpu import CpuPlatform

from collegium.kernels.lora import GroupedLora, grouped
from collegium.kernels.vllm_plugin import GROUPED_LORA, register

ADAPTERS, RANK, WIDE, SLICES = 4, 8, 48, (32, 16)
TOLERANCES = {torch.float32: 1e-5, torch.bfloat16: 3e-2}
MIXED = (2, 2, 2, 0, 3, 3, 0, 2, 1)  # adapters' ids; 0 is no adapter


def tensor(seed: int, *shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """The same numbers in every run."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def stacked(dtype: torch.dtype) -> tuple[tuple[torch.Tensor, ...], tuple[torch.Tensor, ...]]:
    """A and B of a layer of two slices, stacked over adapters."""
    a = tuple(tensor(i, ADAPTERS, 1, RANK, WIDE, dtype=dtype) / WIDE**0.5 for i in range(2))
    b = tuple(
        tensor(9 + i, ADAPTERS, 1, width, RANK, dtype=dtype) / RANK**0.5
        for i, width in enumerate(SLICES)
    )
    return a, b


def wrapper(kind: type[PunicaWrapperCPU], tokens: tuple[int, ...], *, prefill: bool) -> Any:
    """A wrapper that was told which token uses which adapter; adapter n is in slot n - 1."""
    made = kind(64, 16, "cpu")
    mapping = LoRAMapping(tokens, tokens, is_prefill=prefill)
    made.update_metadata(mapping, [1, 2, 3, 4], ADAPTERS, 100)
    return made


def by_formula(
    x: torch.Tensor,
    y: torch.Tensor,
    tokens: tuple[int, ...],
    weights: tuple[tuple[torch.Tensor, ...], tuple[torch.Tensor, ...]],
    scale: float,
) -> torch.Tensor:
    """One token after another in float64."""
    result = y.double().clone()
    for row, token in enumerate(tokens):
        if token == 0:
            continue
        parts = [
            b[token - 1, 0].double() @ (a[token - 1, 0].double() @ x[row].double())
            for a, b in zip(*weights, strict=True)
        ]
        result[row] += scale * torch.cat(parts)
    return result


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("prefill", [True, False])
@pytest.mark.parametrize("tokens", [MIXED, (1,) * 7, (0,) * 5, (4,)])
@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_each_token_gets_its_own_adapter(
    dtype: torch.dtype, prefill: bool, tokens: tuple[int, ...], scale: float
) -> None:
    """The sum is that of the formula, whatever the mixture of adapters in the step."""
    x, y = tensor(5, len(tokens), WIDE, dtype=dtype), tensor(6, len(tokens), 48, dtype=dtype)
    weights = stacked(dtype)
    expected = by_formula(x, y, tokens, weights, scale)
    wrapper(GroupedLora, tokens, prefill=prefill).add_lora_linear(y, x, *weights, scale, SLICES)
    torch.testing.assert_close(y.double(), expected, rtol=0, atol=TOLERANCES[dtype])


@pytest.mark.parametrize("prefill", [True, False])
def test_it_agrees_with_vllm_where_every_token_has_an_adapter(prefill: bool) -> None:
    """The same numbers as the path that it replaces."""
    tokens, weights = (2, 2, 1, 4, 4), stacked(torch.float32)
    outputs = []
    for kind in (GroupedLora, PunicaWrapperCPU):
        x, y = tensor(5, len(tokens), WIDE), tensor(6, len(tokens), 48)
        wrapper(kind, tokens, prefill=prefill).add_lora_linear(y, x, *weights, 1.0, SLICES)
        outputs.append(y)
    torch.testing.assert_close(*outputs, rtol=0, atol=1e-5)


def test_a_token_without_an_adapter_is_left_alone_to_the_bit() -> None:
    """Also when all slots are taken, where vLLM's own path adds the last adapter's product."""
    tokens, weights = (0, 1, 0), stacked(torch.float32)
    x, before = tensor(5, 3, WIDE), tensor(6, 3, 48)
    changed = []
    for kind in (GroupedLora, PunicaWrapperCPU):
        y = before.clone()
        wrapper(kind, tokens, prefill=False).add_lora_linear(y, x, *weights, 1.0, SLICES)
        changed.append([not torch.equal(y[row], before[row]) for row in range(3)])
    assert changed == [[False, True, False], [True, True, True]]


def test_groups_in_one_piece_are_slices() -> None:
    """Slices cost no copy; scattered tokens are Listed."""
    groups = dict(grouped(torch.tensor([1, 1, -1, 0, 2, 0])))
    assert groups[1] == slice(0, 2)
    assert groups[2] == slice(4, 5)
    assert isinstance(groups[0], torch.Tensor)
    assert groups[0].tolist() == [3, 5]
    assert set(groups) == {0, 1, 2}


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> Any:
    """vLLM's platform, as it was, after the test."""
    monkeypatch.setattr(CpuPlatform, "get_punica_wrapper", CpuPlatform.get_punica_wrapper)
    return CpuPlatform


def test_the_plugin_puts_it_in_place(platform: Any) -> None:
    """vLLM makes the class that its platform names."""
    register()
    assert platform.get_punica_wrapper() == GROUPED_LORA
    assert f"{GroupedLora.__module__}.{GroupedLora.__qualname__}" == GROUPED_LORA


def test_the_plugin_leaves_other_versions_alone(
    platform: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A vLLM that we do not know keeps its own path, and the log says so."""
    monkeypatch.setattr(vllm, "__version__", "0.99.0")
    with caplog.at_level(logging.WARNING):
        register()
    assert platform.get_punica_wrapper() != GROUPED_LORA
    assert "0.99.0" in caplog.text


def test_the_plugin_can_be_switched_off(platform: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """COLLEGIUM_LORA=off leaves vLLM as it is."""
    monkeypatch.setenv("COLLEGIUM_LORA", "off")
    register()
    assert platform.get_punica_wrapper() != GROUPED_LORA
