"""Which module imports which, read from the source: for typing and inside functions too."""

from __future__ import annotations

import ast
from collections.abc import Container, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path


def import_graph(package: Path) -> dict[str, set[str]]:
    """The modules of a package, each with those of the same package that it imports."""
    modules = {_name(path, package.parent): path for path in package.rglob("*.py")}
    return {name: set(_imports(path, modules)) for name, path in modules.items()}


def cycle(graph: Mapping[str, set[str]]) -> list[str]:
    """Modules of which each imports the next and the last is the first; empty if there are none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as exc:
        found: list[str] = exc.args[1]
        return found[::-1]  # it names what is imported first
    return []


def _name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(path: Path, modules: Container[str]) -> Iterator[str]:
    """Those of `modules` that a file imports.

    `from a import b` imports the module `a.b` where there is one, else `a`. That Python runs a
    package before its modules, whoever asks for them, is no import.
    """
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom) and (package := node.module or "") in modules:
            names = (f"{package}.{alias.name}" for alias in node.names)
            yield from (name if name in modules else package for name in names)
