"""All modes by name: the entry points `mode.NAME`, our own and plugins'."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

from collegium.errors import SetupError
from collegium.experts.aggregation.base import Mode
from collegium.experts.aggregation.options import Options
from collegium.extensions import extensions

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModeKind:
    """A mode: its description, its requirements, and its factory."""

    text: str
    make: Callable[[Options], Mode]
    seats: int = 3
    """Members unless the caller says otherwise."""
    one_expert: bool = False
    """Whether the members are samples of one expert."""
    combines: bool = False
    """Whether another call, the aggregator's, writes the answer."""


def mode_names() -> tuple[str, ...]:
    """The names of all modes; their code is loaded when one is described or made."""
    return extensions().names("mode")


def mode_kind(name: str) -> ModeKind:
    """The mode of this name; raise BadRequest if there is none, SetupError if it can't be used."""
    kind: ModeKind = extensions().load("mode", name, of=ModeKind)
    return kind


@cache
def usable_modes() -> Mapping[str, ModeKind]:
    """Every mode with its description; one that can't be used is logged and left out."""
    found = {}
    for name in mode_names():
        try:
            found[name] = mode_kind(name)
        except SetupError as exc:
            log.warning("%s", exc.whole)
    return found


def make_mode(name: str, options: Options) -> Mode:
    """Create a mode with a request's options."""
    return mode_kind(name).make(options)
