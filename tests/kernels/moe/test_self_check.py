"""What the plugin asks of the kernels before it lets them into vLLM."""

from __future__ import annotations

import pytest

from collegium.kernels.moe import self_check
from collegium.kernels.moe.formats import Format


def test_nothing_is_wrong_here() -> None:
    """On whatever computes."""
    assert self_check.problem(fallback=True) is None


@pytest.mark.parametrize("form", self_check.TOLERANCE)
def test_a_format_that_is_off_is_named(form: Format, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a tolerance that nothing keeps."""
    monkeypatch.setitem(self_check.TOLERANCE, form, -1.0)
    assert f"{form} layers come out" in (self_check.problem(fallback=True) or "")
