"""Which options of vLLM an engine's `flags` may set, and why the others are refused.

`engine_flags.toml` lists every option of vLLM 0.32 (the CPU build) and 0.33 (the CUDA build). All
others are refused, so that no option of a newer vLLM is passed on without review.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

LISTS = Path(__file__).with_suffix(".toml")
UNKNOWN = "it is no option of the versions of vLLM that Collegium knows"
FORM = "write an option as one word, --name or --name=value"
DRAFTS = "spec-model"
CUSTOM = "custom_class"
"""The method of speculative decoding whose model is a Python class."""


@cache
def refused_options() -> Mapping[str, str]:
    """The options that are not passed on, without their dashes, and why."""
    lists = tomllib.loads(LISTS.read_text(encoding="utf-8"))["refused"]
    return {name: each["because"] for each in lists for name in each["options"].split()}


@cache
def passed_options() -> frozenset[str]:
    """The options that are passed on, without their dashes."""
    return frozenset(tomllib.loads(LISTS.read_text(encoding="utf-8"))["passed"].split())


def refused_flags(flags: Sequence[str]) -> dict[str, str]:
    """Return the flags that are not passed on, and why. A flag is one word: `--name` or
    `--name=value`."""
    return {flag: why for flag in flags if (why := _why_not(flag)) is not None}


def _why_not(flag: str) -> str | None:
    if not flag.startswith("--"):
        return FORM
    name, value = option_name(flag), flag.partition("=")[2]
    if name == "spec-method" and value == CUSTOM:
        return "it would run a Python class as the draft model"
    if name == DRAFTS and not (Path(value) / "config.json").is_file():
        return "give the draft model's folder, which has a config.json"
    if name == DRAFTS and not any(Path(value).glob("*.safetensors")):
        return "the draft model has no .safetensors weights (pickles are never loaded)"
    return None if name in passed_options() else refused_options().get(name, UNKNOWN)


def option_name(flag: str) -> str:
    """Return an option's name as vLLM parses it: `--a_b.c=1` sets a part of `a-b`."""
    return flag.removeprefix("--").partition("=")[0].partition(".")[0].replace("_", "-")


def value_of(flags: Sequence[str], name: str) -> str | None:
    """Return the last value of an option in the flags; None if it is not set."""
    values = (flag.partition("=")[2] for flag in reversed(flags) if option_name(flag) == name)
    return next(values, None)
