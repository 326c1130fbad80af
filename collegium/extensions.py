"""What other distributions may add: entry points of one group, each named `KIND.NAME`.

Collegium's own are registered in the same way, in `pyproject.toml`. Listing names imports nothing;
what a name stands for is imported when it is asked for. docs/guides/extend.md shows how to add one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal

from collegium.errors import BadRequest, SetupError

GROUP = "collegium.extensions"
OURS = "collegium"
"""The distribution whose extensions no other one replaces."""
Kind = Literal["expert", "mode", "encoder", "checker", "judge"]
KINDS: Mapping[Kind, str] = {
    "expert": "kind of expert",
    "mode": "mode of panels",
    "encoder": "encoder",
    "checker": "checker",
    "judge": "judge method",
}
"""Each kind of extension in words."""
PLURALS: Mapping[Kind, str] = {
    "expert": "kinds of experts",
    "mode": "modes of panels",
    "encoder": "encoders",
    "checker": "checkers",
    "judge": "judge methods",
}
FOREIGN = (Exception, SystemExit)
"""Exceptions that foreign code may raise; a module that is a script exits when it is imported."""
REINSTALL = "reinstall it: `pip install --no-deps --no-build-isolation -e .` in its folder"


class Extensions:
    """All that is installed, by kind and name."""

    def __init__(self, entries: Iterable[EntryPoint]) -> None:
        self._entries: dict[tuple[str, str], EntryPoint] = {}
        self._disputed: dict[tuple[str, str], list[EntryPoint]] = {}
        self.faults: dict[str, str] = {}
        """Entry points that are not used, and why."""
        for entry in sorted(entries, key=lambda e: (not is_ours(e), distribution_of(e), e.name)):
            self._take(entry)

    def __iter__(self) -> Iterator[tuple[Kind, str, EntryPoint]]:
        """Every usable extension: its kind, its name and its entry point."""
        for kind in KINDS:
            for name in self.names(kind):
                yield kind, name, self._entries[kind, name]

    def names(self, kind: Kind) -> tuple[str, ...]:
        """The names of a kind, sorted; nothing is imported."""
        return tuple(sorted(name for known, name in self._entries if known == kind))

    def offered(self, kind: Kind) -> str:
        """The names of a kind with the distributions that offer them, for error messages."""
        found: dict[str, list[str]] = {}
        for name in self.names(kind):
            found.setdefault(distribution_of(self._entries[kind, name]), []).append(name)
        return "; ".join(f"{', '.join(names)} ({who})" for who, names in found.items())

    def is_builtin(self, kind: Kind, name: str) -> bool:
        """Whether it is one of Collegium's own."""
        entry = self._entries.get((kind, name))
        return entry is not None and is_ours(entry)

    def load(self, kind: Kind, name: str, *, of: type | None = None) -> Any:
        """Import an extension and return it.

        BadRequest if there is none of this name; SetupError if two distributions offer it,
        where it can't be imported, and where it is no instance of `of` (by default: a callable).
        """
        entry = self._entry(kind, name)
        what = f"The {KINDS[kind]} '{name}' of {distribution_of(entry)}"
        try:
            found = entry.load()
        except FOREIGN as exc:
            hint = f". If Collegium was changed since it was installed, {REINSTALL}"
            words = f"{entry.value}: {type(exc).__name__}: {exc}{hint if is_ours(entry) else ''}"
            raise _failed(f"{what} can't be imported", words) from exc
        if not (callable(found) if of is None else isinstance(found, of)):
            wanted = "callable" if of is None else f"instance of {of.__module__}.{of.__name__}"
            raise _failed(f"{what} can't be used", f"{entry.value} is no {wanted}")
        return found

    def _entry(self, kind: Kind, name: str) -> EntryPoint:
        if rivals := self._disputed.get((kind, name)):
            who = " and ".join(distribution_of(entry) for entry in rivals)
            raise SetupError(f"The {KINDS[kind]} '{name}' is offered by {who}: uninstall one")
        try:
            return self._entries[kind, name]
        except KeyError:
            known = self.offered(kind) or "none"
            words = f"There is no {KINDS[kind]} '{name}'. Available: {known}"
            raise BadRequest(words, kind) from None

    def _take(self, entry: EntryPoint) -> None:
        """Keep an entry point. Ours come first; a name that two others offer is neither's."""
        kind, _, name = entry.name.partition(".")
        key, who = (kind, name), distribution_of(entry)
        if kind not in KINDS or not name:
            words = f"its name is not KIND.NAME with one of the kinds {', '.join(KINDS)}"
            self.faults[f"{entry.name} ({who})"] = words
        elif key in self._disputed:
            self._disputed[key].append(entry)
            self._dispute(entry.name, self._disputed[key])
        elif key not in self._entries:
            self._entries[key] = entry
        elif is_ours(self._entries[key]):
            self.faults[f"{entry.name} ({who})"] = "Collegium's own can't be replaced; rename it"
        else:
            self._disputed[key] = [self._entries.pop(key), entry]
            self._dispute(entry.name, self._disputed[key])

    def _dispute(self, name: str, rivals: list[EntryPoint]) -> None:
        who = " and ".join(distribution_of(entry) for entry in rivals)
        self.faults[name] = f"offered by {who}: uninstall one"


def _failed(what: str, why: str) -> SetupError:
    """The reason is for the operator: it may have paths in it."""
    error = SetupError(what)
    error.detail = why
    return error


def is_ours(entry: EntryPoint) -> bool:
    """Whether Collegium itself registers it."""
    return entry.dist is not None and entry.dist.name == OURS


def distribution_of(entry: EntryPoint) -> str:
    """The name and version of the distribution that registers an entry point."""
    return "unknown" if entry.dist is None else f"{entry.dist.name} {entry.dist.version}"


def checked(found: Extensions) -> Extensions:
    """The extensions; SetupError if Collegium's own are missing."""
    if not any(is_ours(entry) for _, _, entry in found):
        raise SetupError(
            f"The installed metadata of Collegium lists no extensions: it is older than its code, "
            f"or Collegium is not installed. To mend it, {REINSTALL}"
        )
    return found


@cache
def extensions() -> Extensions:
    """What is installed in this environment, read once."""
    return checked(Extensions(entry_points(group=GROUP)))
