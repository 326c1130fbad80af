"""`collegium doctor` on machines with GPUs, as an imitated NVML tells them."""

from __future__ import annotations

from pathlib import Path

import pytest

from collegium.cli import doctor_command
from collegium.experts.placement import live
from tests.fake_nvml import FakeCard, FakeNvml, install


@pytest.fixture(autouse=True)
def cuda_build(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """vLLM's CUDA build, and NVIDIA's driver."""
    driver = tmp_path / "version"
    driver.touch()
    monkeypatch.setattr(doctor_command, "DRIVER", driver)
    monkeypatch.setattr(live, "_is_cpu_build", lambda: False)
    monkeypatch.setenv("COLLEGIUM_DATA_DIR", str(tmp_path))


def test_cards_driver_and_what_fits_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """On one card, and on all."""
    install(monkeypatch, FakeNvml(FakeCard(processes={7: 10.0}), FakeCard()))
    found = doctor_command._gpus()
    assert found.ok
    assert found.found == (
        "NVIDIA H100 80GB HBM3 (80 GiB, 70 free), NVIDIA H100 80GB HBM3 (80 GiB, 80 free); "
        "driver 580.65.06; fits 38B parameters in 16 bits on the first, 75B on all"
    )


def test_the_cpu_build_on_a_gpu_machine_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to install."""
    monkeypatch.setattr(live, "_is_cpu_build", lambda: True)
    install(monkeypatch, FakeNvml(FakeCard()))
    found = doctor_command._gpus()
    assert (found.ok, found.needed) == (False, False)
    assert "CPU build" in found.found
    assert "collegium[embedded-cuda]" in found.mend


def test_a_driver_without_its_library_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The GPUs are there and can't be read."""
    install(monkeypatch, None)
    assert "nvidia-ml-py" in doctor_command._gpus().found


def test_no_gpu_is_well(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Most machines have none."""
    monkeypatch.setattr(doctor_command, "DRIVER", tmp_path / "nothing")
    install(monkeypatch, None)
    found = doctor_command._gpus()
    assert (found.ok, found.found) == (True, "no NVIDIA GPU; engines run on the processor")
