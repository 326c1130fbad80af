"""The code blocks of the documentation, as its readers copy them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tests.repository import ROOT

PAGES = tuple(
    sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
)
FENCE = re.compile(
    r"(?:^[ ]*<!-- not run: (?P<why>[^\n]+?) -->\n\n?)?"
    r"^(?P<indent>[ ]*)```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^[ ]*```$",
    re.MULTILINE | re.DOTALL,
)
"""A block, and the comment above it that says why it is not run."""


@dataclass(frozen=True)
class Block:
    """One code block; `why` says why it is not run, where it is not."""

    page: str
    number: int
    """Of the blocks of its language on its page, from 1."""
    language: str
    text: str
    why: str | None = None

    def __str__(self) -> str:
        return f"{self.page}:{self.number}"


def blocks_of(page: Path) -> list[Block]:
    """The blocks of a page, in its order."""
    name, counted, found = page.relative_to(ROOT).as_posix(), dict[str, int](), []
    for match in FENCE.finditer(page.read_text(encoding="utf-8")):
        language = match["language"]
        counted[language] = counted.get(language, 0) + 1
        lines = [line.removeprefix(match["indent"]) for line in match["text"].splitlines()]
        text = "\n".join(lines) + "\n"
        found.append(Block(name, counted[language], language, text, match["why"]))
    return found


BLOCKS = tuple(block for page in PAGES for block in blocks_of(page))


def of_language(*languages: str) -> list[Block]:
    """All blocks in these languages."""
    return [block for block in BLOCKS if block.language in languages]


def files_of(page: str) -> dict[str, str]:
    """The blocks of a page that begin with a file's name in a comment, by that name."""
    found = {}
    for block in BLOCKS:
        first, _, text = block.text.partition("\n")
        if block.page == page and (match := re.fullmatch(r"# ([\w./-]+\.\w+)", first)):
            found[match[1]] = text
    return found
