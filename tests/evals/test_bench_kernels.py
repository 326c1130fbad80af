"""The bench of the kernels: contenders compute the same, take turns, and are told apart."""

from __future__ import annotations

import json

import pytest
import torch

from collegium.cli import bench_kernels as command
from collegium.evals import bench_kernels, kernel_contenders
from collegium.evals.bench_kernels import FORMATS
from collegium.evals.kernel_contenders import SHAPES, Shape, batch, contenders
from collegium.kernels.moe.formats import Format

SMALL = Shape("small", 8, 256, 128, 2)


def test_the_command_names_what_there_is() -> None:
    """Its lists are written twice, for help imports no torch."""
    assert tuple(shape.name for shape in SHAPES) == command.SHAPES
    assert FORMATS == command.FORMATS


def test_contenders_compute_the_same() -> None:
    """Else their times would not be comparable; bfloat16 throughout."""
    given = batch(SMALL, 5, torch.Generator().manual_seed(1))
    outputs = {name: run(given) for name, run in contenders(SMALL, Format.BF16, None)}
    assert set(outputs) >= {"ours", "vllm", "sglang", "torch grouped_mm"}
    for found in outputs.values():
        error = (found.float() - outputs["ours"].float()).norm() / outputs["ours"].float().norm()
        assert float(error) < 0.02


@pytest.mark.parametrize("form", ["int8", "int4", "fp8"])
def test_sglangs_quantised_kernels_compute_the_same(form: str) -> None:
    """From the same codes; its inner activations are rounded in other places."""
    given = batch(SMALL, 5, torch.Generator().manual_seed(1))
    outputs = {name: run(given) for name, run in contenders(SMALL, Format(form), None)}
    difference = (outputs["sglang"].float() - outputs["ours"].float()).norm()
    assert float(difference / outputs["ours"].float().norm()) < 0.03


def test_a_report_holds_every_contender_and_the_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours is once its own time, and the probes are not contenders."""
    monkeypatch.setattr(bench_kernels, "SHAPES", (SMALL,))
    monkeypatch.setattr(bench_kernels, "PROBE_BYTES", 1 << 20)
    before = torch.get_num_threads()
    try:
        report = bench_kernels.bench_kernels(
            shapes=("small",), formats=("bf16",), tokens=(1, 3), rounds=2, threads=1,
            zentorch=None, command="test", progress=False,
        )  # fmt: skip
    finally:
        torch.set_num_threads(before)
    assert {t.ratio for t in report.timings if t.contender == "ours"} == {1.0}
    assert len(report.timings) == 2 * 4
    assert json.loads(report.to_json())["probes"][1]["tokens"] == 3
    assert kernel_contenders.SGL_METHODS.keys() >= {Format(f) for f in FORMATS}
