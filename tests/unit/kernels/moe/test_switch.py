"""When the plugin lets our sparse layers into vLLM by itself."""

from __future__ import annotations

import pytest
import torch

from collegium.kernels import vllm_plugin


@pytest.mark.parametrize(("amx", "words"), [(True, "AMX tiles"), (False, None)])
def test_auto_steps_aside_where_vllm_is_faster(
    amx: bool, words: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what the processor has."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": amx})
    why = vllm_plugin._slower()
    assert why is None if words is None else words in (why or "")
