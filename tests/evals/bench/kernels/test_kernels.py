"""The bench of the kernels: contenders compute the same, take turns, and are told apart."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from collegium.cli import bench_kernels as command
from collegium.errors import SetupError
from collegium.evals.bench.kernels import contenders as kernel_contenders
from collegium.evals.bench.kernels import run as bench_kernels
from collegium.evals.bench.kernels.contenders import HALF, OURS, SGL_METHODS, Others, contenders
from collegium.evals.bench.kernels.layers import SHAPES, Shape, batch
from collegium.evals.bench.kernels.machines import Cpu, Cuda, Sizes
from collegium.evals.bench.kernels.run import KernelBench, Plan
from collegium.evals.bench.kernels.timings import Timing
from collegium.evals.bench.kernels.tuning import record
from collegium.evals.core.provenance import provenance
from collegium.kernels.moe.formats import Format
from collegium.kernels.moe.triton_tiles import TILES, Layer, TileTables

ROOT = Path(__file__).resolve().parents[4]
SMALL = Shape("small", 8, 256, 128, 2)
needs_avx512 = pytest.mark.skipif(
    not torch.cpu._is_avx512_supported(),
    reason="NOT TESTED: this processor has no AVX-512, which vLLM's and SGLang's operators need",
)


def outputs(form: str, others: Others, shape: Shape = SMALL) -> dict[str, torch.Tensor]:
    """Everyone's result on one batch, but of the half."""
    given = batch(shape, 5, torch.Generator().manual_seed(1))
    runs = contenders(shape, Format(form), others)
    return {name: run(given).float() for name, run in runs if name != HALF}


def differences(found: dict[str, torch.Tensor]) -> dict[str, float]:
    """Each one's from ours, relative."""
    ours = found[OURS]
    return {name: float((it - ours).norm() / ours.norm()) for name, it in found.items()}


def test_the_command_names_what_there_is() -> None:
    """Its lists are written twice, for help imports no torch."""
    assert tuple(shape.name for shape in SHAPES) == command.SHAPES
    assert Cpu.formats == command.FORMATS


@needs_avx512
def test_contenders_compute_the_same() -> None:
    """Else their times would not be comparable; bfloat16 throughout."""
    found = differences(outputs("bf16", Others()))
    assert found.keys() >= {OURS, "vllm", "sglang", "torch grouped_mm"}
    assert max(found.values()) < 0.02


@needs_avx512
@pytest.mark.parametrize("form", ["int8", "int4", "fp8"])
def test_sglangs_quantised_kernels_compute_the_same(form: str) -> None:
    """From the same codes; its inner activations are rounded in other places."""
    assert differences(outputs(form, Others()))["sglang"] < 0.03


@needs_avx512
@pytest.mark.parametrize("form", Cpu.formats)
def test_who_cannot_compute_a_layer_is_left_out(form: str) -> None:
    """The pool's rows of 576 are no whole groups of 128, which SGLang's int4 needs."""
    found = differences(outputs(form, Others(), Shape("uneven", 4, 576, 192, 2)))
    assert ("sglang" in found) == (Format(form) in SGL_METHODS and form != "int4")
    assert max(found.values()) < 0.03


@needs_avx512
def test_a_report_holds_every_contender_and_the_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours is once its own time, the probes are not contenders, one is left out as asked."""
    monkeypatch.setattr(bench_kernels, "SHAPES", (SMALL,))
    monkeypatch.setattr(Cpu, "sizes", Sizes(1 << 20, 64))
    before = torch.get_num_threads()
    others = Others(without=("vllm without AMX",))
    plan = Plan(("small",), ("bf16",), (1, 3), rounds=2, scale_to=2, others=others)
    report = bench_kernels.bench_kernels(plan, command="test", progress=False)

    assert torch.get_num_threads() == before
    assert {t.ratio for t in report.timings if t.contender == OURS} == {1.0}
    names = [t.contender for t in report.timings if t.tokens == 3]
    assert names == [OURS, HALF, "vllm", "sglang", "torch grouped_mm"]
    assert report.probes[1].tokens == 3
    assert [(s.tokens, s.to) for s in report.scalings] == [(1, 2), (3, 2)]
    assert SGL_METHODS.keys() >= set(Cpu.formats)


def test_who_finds_no_room_is_left_out_and_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Mixtral's layer in six kernels took 21 GiB, and the system ended the benchmark."""
    monkeypatch.setattr(kernel_contenders, "available_gib", lambda: 1e-5)
    assert list(dict(contenders(SMALL, Format.BF16, Others()))) == [OURS, HALF]
    assert "torch grouped_mm is left out: it needs" in caplog.text


def test_without_a_gpu_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """And what to do."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SetupError, match=r"torch .* sees none; run it where"):
        Cuda()
    done = CliRunner().invoke(command.kernels, ["--device", "cuda"])
    assert isinstance(done.exception, SetupError)
    done = CliRunner().invoke(command.kernels, ["--autotune"])
    assert "--autotune is for --device cuda" in done.output


def test_the_least_lead_over_vllm_is_kept(tmp_path: Path) -> None:
    """By layer; nothing where vLLM's kernel did not run."""
    fields: dict[str, Any] = {"format": "bf16", "milliseconds": 1.0, "spread": (1.0, 1.0),
                              "gflops": 1.0, "gigabytes_s": 1.0}  # fmt: skip
    timings = [
        Timing(shape="olmoe", tokens=tokens, contender=who, ratio=ratio, **fields)
        for tokens, who, ratio in ((1, "vllm", 1.5), (16, "vllm", 1.1), (1, OURS, 1.0))
    ]
    made = provenance("test", 0, {})
    report = KernelBench("cuda", "H100", "triton", 1, tuple(timings), (), (), made)
    tables = TileTables(tmp_path)
    assert record(report, tables) == tables.path("H100")
    assert tables.over_vllm(Layer(torch.bfloat16, 64, 2048, 1024), "H100") == 1.1
    assert record(replace(report, timings=tuple(timings[2:])), tables) is None


def test_the_gpus_contenders_compute_the_same_in_the_interpreter() -> None:
    """Ours with Triton's interpreter, torch's on the CPU; and the tile that is fastest is tuned."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.evals.bench.kernels.tuning_interpreted"],
        env=os.environ | {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"},
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)

    assert found["contenders"] == [OURS, HALF, "torch grouped_mm"]
    assert found["difference"] < 0.02
    assert found["best"] == str(TILES[0])
    assert found["measured"] == 2
    assert found["layer"] == "bfloat16 3x32x16"
