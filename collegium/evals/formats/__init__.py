"""Readers of public routing sets' formats, and their detection."""

from collections.abc import Callable
from pathlib import Path

from collegium.errors import SetupError
from collegium.evals.core.data import RoutingData, holds_set, load_set
from collegium.evals.formats import llmrouterbench, routellm, routerarena, routerbench

FORMATS: dict[str, tuple[Callable[[Path], bool], Callable[[Path], RoutingData]]] = {
    "RouterBench": (routerbench.is_it, routerbench.load),
    "RouterArena": (routerarena.is_it, routerarena.load),
    "LLMRouterBench": (llmrouterbench.is_it, llmrouterbench.load),
    "RouteLLM": (routellm.is_it, routellm.load),
}
"""Each format's name, whether a folder looks like it, and its reader."""


def load_any(folder: Path) -> RoutingData:
    """Read a folder in the shared format or in that of a public set."""
    if holds_set(folder) or not folder.is_dir():
        return load_set(folder)
    for is_it, load in FORMATS.values():
        if is_it(folder):
            return load(folder)
    raise SetupError(
        f"'{folder}' holds neither prompts.jsonl nor prompts.csv (or gzipped), nor files of "
        f"{', '.join(FORMATS)}: docs/guides/outcome-files.md says which files are read"
    )
