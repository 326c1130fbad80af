"""The embedded models: found without importing, converted once, never used half converted."""

import json
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from time import sleep

import pytest

from collegium.errors import CollegiumError, ExtraMissing
from collegium.experts import embedded
from collegium.experts.embedded import (
    BASE_GGUF,
    BASE_PACKAGE,
    ENCODER_PACKAGE,
    MARKER,
    encoder_path,
    ensure_base_model,
    ensure_converted,
    is_complete,
    package_file,
)


class Conversion:
    """A quick stand-in for the conversion of 98 MB that notes how often it ran."""

    def __init__(self, seconds: float = 0) -> None:
        self.runs = 0
        self._seconds = seconds

    def __call__(self, source: Path, folder: Path) -> None:
        self.runs += 1
        sleep(self._seconds)
        (folder / "model.safetensors").write_bytes(source.read_bytes())
        (folder / "config.json").write_text("{}")


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a package with small weights on the path, one that must not be imported."""
    package = tmp_path / "site" / BASE_PACKAGE
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')\n")
    (package / BASE_GGUF).write_bytes(b"weights")
    monkeypatch.syspath_prepend(str(package.parent))
    return package


def break_marker(folder: Path) -> None:
    (folder / MARKER).unlink()


def cut_weights(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"wei")


def lose_file(folder: Path) -> None:
    (folder / "config.json").unlink()


def garble_marker(folder: Path) -> None:
    (folder / MARKER).write_text('{"files": [')


def age(folder: Path) -> None:
    marker = json.loads((folder / MARKER).read_text())
    (folder / MARKER).write_text(json.dumps({**marker, "conversion": 0}))


def test_a_missing_package_says_how_to_get_it() -> None:
    """The error names the package and the remedy, and belongs to our tree."""
    with pytest.raises(ExtraMissing, match=r"no_such_weights.*\[embedded\].*make setup") as error:
        package_file("no_such_weights", "model.gguf", what="the weights")
    assert isinstance(error.value, CollegiumError)


def test_a_package_without_its_file_is_missing_too() -> None:
    """An installed package that lacks the weights gives the same error."""
    with pytest.raises(ExtraMissing):
        package_file("json", "model.gguf", what="the weights")


def test_a_module_that_is_no_package_is_missing_too() -> None:
    """A plain module has no folder to look in, and that is no crash."""
    with pytest.raises(ExtraMissing):
        package_file("bisect", "model.gguf", what="the weights")


def test_the_package_is_found_without_importing_it(installed: Path) -> None:
    """Finding the file does not run the package, which would load another engine."""
    assert package_file(BASE_PACKAGE, BASE_GGUF, what="weights") == installed / BASE_GGUF
    assert BASE_PACKAGE not in sys.modules


def test_a_conversion_runs_once(installed: Path, tmp_path: Path) -> None:
    """The second call finds what the first made, and the source's bytes arrived."""
    convert = Conversion()
    folder = ensure_converted(tmp_path / "cache" / "model", convert)
    assert ensure_converted(folder, convert) == folder
    assert convert.runs == 1
    assert (folder / "model.safetensors").read_bytes() == (installed / BASE_GGUF).read_bytes()


def test_a_finished_conversion_needs_no_package(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once converted, the weights' package may go."""
    folder = ensure_converted(tmp_path / "model", Conversion())
    (installed / BASE_GGUF).unlink()
    monkeypatch.setattr(embedded, "BASE_MODEL", folder.name)
    assert ensure_base_model(tmp_path) == folder


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("damage", [break_marker, cut_weights, lose_file, garble_marker, age])
def test_a_half_finished_conversion_is_redone(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    """A folder without a valid marker, or with other sizes, is never used."""
    convert = Conversion()
    folder = ensure_converted(tmp_path / "model", convert)
    damage(folder)
    assert not is_complete(folder)
    assert is_complete(ensure_converted(folder, convert))
    assert convert.runs == 2


@pytest.mark.usefixtures("installed")
def test_an_interrupted_conversion_leaves_nothing_usable(tmp_path: Path) -> None:
    """When converting fails there is no folder, no scratch is left, and a retry works."""

    def fail(_source: Path, folder: Path) -> None:
        (folder / "model.safetensors").write_bytes(b"we")
        raise KeyboardInterrupt

    target = tmp_path / "cache" / "model"
    with pytest.raises(KeyboardInterrupt):
        ensure_converted(target, fail)
    assert [path.name for path in target.parent.iterdir()] == [".model.lock"]
    assert is_complete(ensure_converted(target, Conversion()))


@pytest.mark.usefixtures("installed")
def test_those_who_ask_at_once_share_one_conversion(tmp_path: Path) -> None:
    """The lock lets one convert while the others wait for its result."""
    convert = Conversion(seconds=0.1)
    with ThreadPoolExecutor(4) as pool:
        folders = list(pool.map(lambda _: ensure_converted(tmp_path / "model", convert), range(4)))
    assert convert.runs == 1
    assert is_complete(folders[0])


@pytest.mark.usefixtures("installed")
def test_progress_is_told_when_something_is_converted(tmp_path: Path) -> None:
    """People hear of the half minute they wait, and nothing when there is nothing to do."""
    told: list[str] = []
    for _ in range(2):
        ensure_converted(tmp_path / "model", Conversion(), told.append)
    assert len(told) == 2
    assert "Converting" in told[0]


@pytest.mark.skipif(find_spec(ENCODER_PACKAGE) is None, reason="no encoder installed")
def test_the_encoder_folder_holds_weights() -> None:
    """The sentence encoder's folder is one that sentence-transformers can load."""
    assert (encoder_path() / "model.safetensors").stat().st_size > 1_000_000
    assert (encoder_path() / "modules.json").exists()
