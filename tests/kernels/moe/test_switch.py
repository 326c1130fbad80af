"""When the plugin lets our sparse layers into vLLM by itself."""

from __future__ import annotations

import pytest
import torch

from collegium.kernels import vllm_plugin
from collegium.kernels.moe import isa
from collegium.kernels.moe.isa import Isa


@pytest.mark.parametrize(
    ("amx", "ours", "words"),
    [(True, Isa.AVX512_BF16, "AMX tiles"), (True, Isa.AMX, None), (False, Isa.AVX2, None)],
)
def test_auto_steps_aside_where_vllm_is_faster(
    amx: bool, ours: Isa, words: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what the processor has and our kernels use of it."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": amx})
    monkeypatch.setattr(isa, "chosen", lambda: ours)
    why = vllm_plugin._slower()
    assert why is None if words is None else words in (why or "")
