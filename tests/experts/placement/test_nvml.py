"""NVML: what is read of the cards, and that its absence is no error."""

from __future__ import annotations

import pytest

from collegium.experts.placement import nvml
from collegium.experts.placement.plan import Card
from tests.fake_nvml import FakeCard, FakeNvml, install


def test_cards_are_read_and_the_library_is_closed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Index, name, memory, free memory and compute capability."""
    fake = FakeNvml(FakeCard(processes={7: 10.0}), FakeCard(24.0, "NVIDIA L4", (8, 9)))
    install(monkeypatch, fake)
    first, second = nvml.gpus()
    assert (first.memory_gib, first.free_gib) == (80.0, 70.0)
    assert (second.index, second.name, second.capability) == (1, "NVIDIA L4", (8, 9))
    assert nvml.cards_here()[1] == Card(1, 24.0, "NVIDIA L4")
    assert nvml.driver() == "580.65.06"
    assert fake.users == 0


@pytest.mark.parametrize("fake", [None, FakeNvml(FakeCard(), broken=True), FakeNvml()])
def test_without_package_driver_or_card_there_is_none(
    monkeypatch: pytest.MonkeyPatch, fake: FakeNvml | None
) -> None:
    """As on the machines where this was written."""
    install(monkeypatch, fake)
    assert nvml.gpus() == ()


@pytest.mark.parametrize(
    ("visible", "indices"),
    [
        ("1", [1]), ("0,2", [0, 2]), ("", []), ("-1", []), ("0,-1,2", [0]), ("7", []),
        ("GPU-2f1c", [2]), ("GPU-1", [1]), ("MIG-4f1c", []),
    ],
)  # fmt: skip
def test_only_visible_cards_count(
    monkeypatch: pytest.MonkeyPatch, visible: str, indices: list[int]
) -> None:
    """By CUDA_VISIBLE_DEVICES: numbers, UUIDs or their beginnings, and all before -1."""
    install(monkeypatch, FakeNvml(FakeCard(), FakeCard(), FakeCard()))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [gpu.index for gpu in nvml.gpus()] == indices


def test_a_divided_or_lost_card_is_left_out_and_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The others keep their numbers; a driver that tells no version is no error."""
    fake = FakeNvml(FakeCard(mig=True), FakeCard(lost=True), FakeCard(mig=False))
    install(monkeypatch, fake)
    assert [gpu.index for gpu in nvml.gpus()] == [2]
    assert "GPU 0 is divided (MIG) and left out" in caplog.text
    assert "GPU 1 can't be read and is left out: GPU is lost" in caplog.text


def test_a_driver_that_tells_no_version_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is shown as unknown."""
    fake = FakeNvml(FakeCard(), driver="")
    install(monkeypatch, fake)
    assert nvml.driver() is None


def test_the_memory_of_processes_is_summed_over_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    """None where the driver does not tell a size."""
    cards = FakeCard(processes={1: 3.0, 2: 4.0}), FakeCard(processes={1: 5.0, 3: None})
    install(monkeypatch, FakeNvml(*cards))
    assert nvml.used_gib({1}) == 8.0
    assert nvml.used_gib({4}) == 0.0
    assert nvml.used_gib({1, 3}) is None
    install(monkeypatch, None)
    assert nvml.used_gib({1}) is None
