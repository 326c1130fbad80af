"""Rules on which experts may answer: tags, residency, licence, data class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from collegium.registry.expert import Expert
from collegium.registry.labels import LABELS, is_local


@dataclass(frozen=True)
class Rules:
    """What an expert must satisfy; empty or None means no rule.

    An expert keeps to `residency`, `licence` and `data_class` if its label is one of those that
    are listed; one without the label does not. It has all of the `tags`.
    """

    tags: tuple[str, ...] = ()
    residency: tuple[str, ...] | None = None
    licence: tuple[str, ...] | None = None
    data_class: tuple[str, ...] | None = None
    local: bool = False

    @classmethod
    def of(cls, kept: Mapping[str, Any] | None) -> Rules:
        """Rules as they are kept as JSON; what another version wrote beside them is passed over."""
        names = {field.name for field in fields(cls)}
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in (kept or {}).items()
            if name in names and value is not None
        }
        return cls(**given)

    def broken_by(self, expert: Expert) -> str:
        """Return the rule that an expert violates, in words; empty if there is none."""
        if missing := [tag for tag in self.tags if tag not in expert.tags]:
            return f"has no tag {missing[0]}"
        for name in LABELS:
            allowed = getattr(self, name)
            if allowed is not None and (problem := _problem(expert, name, allowed)):
                return problem
        return "is not local" if self.local and not is_local(expert) else ""

    def and_(self, other: Rules) -> Rules:
        """Both rules together."""
        if NO_RULES in (self, other):
            return other if self == NO_RULES else self
        lists = {name: _both(getattr(self, name), getattr(other, name)) for name in LABELS}
        tags = tuple(dict.fromkeys((*self.tags, *other.tags)))
        return Rules(tags=tags, **lists, local=self.local or other.local)


NO_RULES = Rules()


def _problem(expert: Expert, name: str, allowed: tuple[str, ...]) -> str:
    words = name.replace("_", " ")
    label = expert.labels.get(name)
    if label is None:
        return f"has no {words}"
    if label.casefold() in {value.casefold() for value in allowed}:
        return ""
    return f"has the {words} {label}, not {' or '.join(allowed) or 'any'}"


def _both(one: tuple[str, ...] | None, other: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if one is None or other is None:
        return other if one is None else one
    kept = {value.casefold() for value in other}
    return tuple(value for value in one if value.casefold() in kept)
