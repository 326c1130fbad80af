"""The measurements that need a GPU: with a stub engine and an imitated NVML, or a processor."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from collegium.evals.bench import gpu
from collegium.evals.bench.gpu import Bench, bench_gpu
from collegium.experts.embedded import ensure_base_model
from collegium.experts.vllm import EngineSpec, as_child
from tests.experts.engines import STUB
from tests.experts.placement.test_live import model
from tests.fake_nvml import FakeCard, FakeNvml, install


def bench(folder: Path) -> Bench:
    """A stub in the place of vLLM, run by another interpreter than ours, as its name says."""

    def command(_spec: EngineSpec, port: int) -> list[str]:
        return as_child([sys.executable, str(STUB), str(port), str(folder)])

    path = model(folder / "model", 1.0)
    return Bench(path, folder / "logs", Path("/opt/vllm/bin/python"), command)


async def test_every_step_is_reported_on_a_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those that fail: the stub counts no tokens."""
    install(monkeypatch, FakeNvml(FakeCard()))
    report = await bench_gpu(bench(tmp_path))
    steps = report["steps"]
    assert report["machine"]["engines_run_on"] == "gpu"
    assert list(steps) == ["plan", "start", "memory", "tool_call", "speed_1", "speed_32",
                           "sleep_1", "sleep_2"]  # fmt: skip
    assert steps["plan"]["found"]["cards"] == (0,)
    assert steps["start"]["found"]["state"] == "ready"
    assert steps["memory"]["found"]["planned_gib"] == steps["plan"]["found"]["gib"]
    assert steps["tool_call"]["found"] == {"called": None, "arguments": None}
    assert steps["speed_1"]["failed"] == "KeyError: 'usage'"
    assert steps["sleep_2"]["found"]["same_answer"]
    json.dumps(report)


async def test_what_is_not_done_in_time_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest is reported."""
    install(monkeypatch, FakeNvml(FakeCard()))
    (tmp_path / "never").touch()
    steps = (await bench_gpu(bench(tmp_path), seconds=1.0))["steps"]
    assert steps["time"]["failed"] == "not all could be measured in 1 s"
    assert steps["plan"]["failed"] is None


@pytest.mark.slow
async def test_on_a_processor_the_real_engine_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Speed of short answers and tool calls; there is no card whose memory could be told."""
    monkeypatch.setattr(gpu, "ANSWER", 16)
    from collegium.settings import load_settings

    path = ensure_base_model(load_settings().cache_dir)
    report = await bench_gpu(Bench(path, tmp_path, Path(sys.executable)))
    steps = report["steps"]
    assert {name: step["failed"] for name, step in steps.items()} == dict.fromkeys(
        ["start", "memory", "tool_call", "speed_1", "speed_32"]
    )
    assert steps["tool_call"]["found"]["called"] == "weather"
    assert list(steps["tool_call"]["found"]["arguments"]) == ["city"]
    assert steps["speed_32"]["found"]["tokens"] == 32 * 16
