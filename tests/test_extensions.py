"""One mechanism for what others add: names without imports, errors that name the distribution."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from importlib.metadata import Distribution, EntryPoint, entry_points
from pathlib import Path

import pytest

from collegium.errors import BadRequest, SetupError
from collegium.extensions import GROUP, KINDS, Extensions, checked, extensions
from tests.distributions import environment, installed, plugin
from tests.repository import ROOT


class Told(Distribution):
    """A distribution of which only the name and the version are known."""

    def __init__(self, name: str) -> None:
        self._name = name

    def read_text(self, filename: str) -> str | None:
        """Its metadata."""
        return f"Metadata-Version: 2.1\nName: {self._name}\nVersion: 1.0\n" * (
            filename == "METADATA"
        )

    def locate_file(self, path: object) -> Path:
        """Nowhere."""
        raise FileNotFoundError(path)


def entry(name: str, value: str = "json:loads", distribution: str = "acme") -> EntryPoint:
    """An entry point of a distribution."""
    found = EntryPoint(name, value, GROUP)
    vars(found)["dist"] = Told(distribution)
    return found


OURS = entry("checker.number", "json:dumps", "collegium")


def test_our_own_extensions_are_those_of_the_project_file() -> None:
    """Where this fails the installation is older than the code: `make setup` mends it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    told = project["entry-points"][GROUP]
    found = {e.name: e.value for e in entry_points(group=GROUP) if e.dist.name == "collegium"}  # type: ignore[union-attr]
    assert found == told


@pytest.mark.parametrize("name", [e.name for e in entry_points(group=GROUP)])
def test_every_extension_of_ours_can_be_loaded(name: str) -> None:
    """And is what its kind has to be."""
    from collegium.cli.doctor_command import extension_types

    kind, _, short = name.partition(".")
    assert kind in KINDS
    extensions().load(kind, short, of=extension_types().get(kind))  # type: ignore[arg-type]


def test_listing_names_imports_nothing() -> None:
    """Neither their modules nor the folders that they lie in."""
    code = (
        "import sys; from collegium.extensions import KINDS, extensions\n"
        "assert all(extensions().names(kind) for kind in KINDS)\n"
        "print(*(name for name in sys.modules if name.startswith('collegium')))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert told.stdout.split() == ["collegium", "collegium.errors", "collegium.extensions"]


def test_an_unknown_name_is_refused_with_those_that_there_are() -> None:
    """And with the distribution that offers each."""
    found = Extensions([OURS, entry("checker.brief"), entry("mode.loud")])
    with pytest.raises(BadRequest) as refused:
        found.load("checker", "brieg")
    assert str(refused.value) == (
        "There is no checker 'brieg'. Available: brief (acme 1.0); number (collegium 1.0)"
    )


def test_a_plugin_that_fails_to_import_is_named_with_its_reason() -> None:
    """The reason is for the operator; others go on."""
    found = Extensions([OURS, entry("checker.gone", "no_such_module:Checker")])
    with pytest.raises(SetupError) as failed:
        found.load("checker", "gone")
    assert str(failed.value) == "The checker 'gone' of acme 1.0 can't be imported"
    assert "ModuleNotFoundError: No module named 'no_such_module'" in failed.value.whole
    assert found.load("checker", "number") is json.dumps


def test_a_plugin_that_ends_the_process_on_import_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module may be a script that calls `sys.exit`."""
    (tmp_path / "acme_script.py").write_text("import sys; sys.exit(3)")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SetupError) as failed:
        Extensions([entry("expert.script", "acme_script:Client")]).load("expert", "script")
    assert "acme_script:Client: SystemExit: 3" in failed.value.whole


def test_what_is_not_of_its_kind_is_refused() -> None:
    """A mode that is a function can't describe itself."""
    found = Extensions([entry("mode.loud"), entry("checker.pi", "math:pi")])
    with pytest.raises(SetupError, match=r"The mode of panels 'loud' of acme 1.0 can't be used"):
        found.load("mode", "loud", of=Extensions)
    with pytest.raises(SetupError) as failed:
        found.load("checker", "pi")
    assert "math:pi is no callable" in failed.value.whole


def test_two_distributions_of_one_name_are_both_named() -> None:
    """Neither is used: which one would be is chance."""
    rivals = [entry("checker.brief"), entry("checker.brief", distribution="bolt")]
    found = Extensions([OURS, *rivals, entry("checker.brief", distribution="core")])
    words = "offered by acme 1.0 and bolt 1.0 and core 1.0: uninstall one"
    with pytest.raises(SetupError, match=words):
        found.load("checker", "brief")
    assert found.names("checker") == ("number",)
    assert found.faults == {"checker.brief": words}


def test_a_plugin_does_not_replace_one_of_ours() -> None:
    """In whatever order they are found; what it tried is told."""
    theirs = entry("checker.number")
    for entries in ([OURS, theirs], [theirs, OURS]):
        found = Extensions(entries)
        assert found.load("checker", "number") is json.dumps
        assert found.is_builtin("checker", "number")
        assert found.faults == {
            "checker.number (acme 1.0)": "Collegium's own can't be replaced; rename it"
        }


@pytest.mark.parametrize("name", ["number", "checkers.number", "checker.", ".number"])
def test_a_name_that_is_no_kind_and_name_is_a_fault(name: str) -> None:
    """It is told with the kinds that there are."""
    found = Extensions([OURS, entry(name)])
    assert "KIND.NAME" in found.faults[f"{name} (acme 1.0)"]
    assert found.names("checker") == ("number",)


def test_an_installation_without_our_own_is_an_error() -> None:
    """Not an empty list: its metadata is older than the code."""
    with pytest.raises(SetupError, match=r"older than its code.*pip install"):
        checked(Extensions([entry("checker.brief")]))


def test_a_stale_installation_is_told_by_every_command(tmp_path: Path) -> None:
    """As an editable one is whose entry points were never written."""
    stale = tmp_path / "collegium-0.1.0.dist-info"
    stale.mkdir()
    (stale / "METADATA").write_text("Metadata-Version: 2.1\nName: collegium\nVersion: 0.1.0\n")
    told = run(["doctor", "--json"], tmp_path)
    finding = findings(told.stdout)["extensions"]
    assert not finding["ok"]
    assert "older than its code" in finding["found"]
    served = run(["serve", "--no-embedded"], tmp_path, COLLEGIUM_ENCODER="static")
    assert served.returncode == 1
    assert "The installed metadata of Collegium lists no extensions" in served.stderr


def run(arguments: list[str], *targets: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command with these folders installed."""
    return subprocess.run(
        [sys.executable, "-m", "collegium", *arguments],
        capture_output=True,
        text=True,
        env=environment(*targets, COLLEGIUM_DATA_DIR=str(targets[0] / "data"), **more),
        timeout=120,
    )


def findings(told: str) -> dict[str, dict[str, str]]:
    """What the doctor found, by check."""
    return {finding["check"]: finding for finding in json.loads(told)}


def test_doctor_names_each_plugin_and_what_fails(tmp_path: Path) -> None:
    """Really installed: one that works, one that fails, one that wants to replace ours."""
    entries = {"checker.fine": "acme:fine", "checker.sad": "acme:sad", "mode.vote": "acme:fine"}
    files = plugin("acme", entries, {"acme": "def fine(): ...\n"})
    target = installed(files, tmp_path / "source", tmp_path / "target")
    finding = findings(run(["doctor", "--json"], target).stdout)["extensions"]
    assert not finding["ok"]
    assert "The checker 'sad' of acme 1.0 can't be imported" in finding["found"]
    assert "mode.vote (acme 1.0): Collegium's own can't be replaced" in finding["found"]
    assert "fine" not in finding["found"].replace("acme:fine", "")
