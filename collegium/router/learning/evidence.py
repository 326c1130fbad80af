"""Combine marks of several sources and runs into one table of outcomes for fitting."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from collegium.registry.learning.runs import Evidence, LearningAnswer, LearningPrompt, MarkSource
from collegium.router.applications.signals import Signals
from collegium.router.forecasting import UNSKILLED
from collegium.router.training import Measured

Array = NDArray[np.float64]
RANK: Mapping[MarkSource, int] = {
    "confirmed": 0,
    "checker": 1,
    "preference": 2,
    "rating": 3,
    "judge": 4,
    "agreement": 5,
}
"""The precedence of sources for several marks of one answer: later ones are less reliable."""


@dataclass(frozen=True)
class Table:
    """Prompts (n) by experts (e): who is marked, by which source, and what each answer took.

    `scores`, `tokens`, `latency_s`, `prompt_tokens` and `cost_usd` have shape (n, e), NaN where
    nothing is known; `sources` (n, e) has the mark's source, "" where there is none.
    """

    prompts: tuple[LearningPrompt, ...]
    fingerprints: tuple[str, ...]
    names: tuple[str, ...]
    scores: Array
    sources: NDArray[np.str_]
    tokens: Array
    latency_s: Array
    prompt_tokens: Array
    cost_usd: Array
    texts: Mapping[tuple[int, int], str]
    """The answers, by row and column."""

    @property
    def applications(self) -> list[str | None]:
        """The application of each prompt (n)."""
        return [prompt.application for prompt in self.prompts]

    def of(self, fingerprints: Collection[str]) -> Table:
        """Return the part about these experts."""
        kept = [i for i, name in enumerate(self.fingerprints) if name in fingerprints]
        new = {old: i for i, old in enumerate(kept)}
        arrays = {name: getattr(self, name)[:, kept] for name in (*_TAKEN, "scores", "sources")}
        return replace(
            self,
            fingerprints=tuple(self.fingerprints[i] for i in kept),
            names=tuple(self.names[i] for i in kept),
            texts={(row, new[c]): t for (row, c), t in self.texts.items() if c in new},
            **arrays,
        )

    def comparable(self) -> NDArray[np.intp]:
        """Marks of each expert (e) on prompts where another one has a mark too."""
        seen = ~np.isnan(self.scores)
        return np.asarray(seen[seen.sum(axis=1) > 1].sum(axis=0))

    def marked(self) -> NDArray[np.bool_]:
        """Whether each prompt has a mark at all (n)."""
        return np.asarray(~np.isnan(self.scores).all(axis=1))

    def measured(self) -> Measured:
        """The marked prompts in the shape that a router is fitted on."""
        rows = np.flatnonzero(self.marked())
        prompts = [self.prompts[row] for row in rows]
        return Measured(
            prompts=[prompt.text for prompt in prompts],
            skills=[UNSKILLED] * len(rows),
            groups=[prompt.digest for prompt in prompts],
            fingerprints=self.fingerprints,
            scores=self.scores[rows],
            tokens=self.tokens[rows],
            latency_s=self.latency_s[rows],
            signals=[signals_of(prompt) for prompt in prompts],
            prompt_tokens=self.prompt_tokens[rows],
            cost_usd=self.cost_usd[rows],
        )


def signals_of(prompt: LearningPrompt) -> Signals:
    """Return the signals of the prompt's application."""
    known = dict(prompt.signals)
    return Signals(**{**known, "tools": tuple(known.get("tools", ()))})


def table_of(evidence: Evidence, names: Mapping[str, str] | None = None) -> Table:
    """Put all evidence into one table; the same request asked in two runs is one row.

    `names` are the registered experts' present names by fingerprint. Marks by sources that err
    are taken as they are: `corrected` comes first.
    """
    rows, of_prompt = _rows(evidence.prompts)
    fingerprints = tuple(dict.fromkeys(a.fingerprint for a in evidence.answers))
    column = {name: i for i, name in enumerate(fingerprints)}
    shape = len(rows), len(fingerprints)
    values = {field: np.full(shape, np.nan) for field in (*_TAKEN, "scores")}
    sources = np.full(shape, "", dtype="<U12")
    texts: dict[tuple[int, int], str] = {}
    cell: dict[tuple[str, int, str], tuple[int, int]] = {}
    for answer in evidence.answers:
        if (answer.run_id, answer.number) not in of_prompt:
            continue  # its prompt was deleted meanwhile
        at = of_prompt[answer.run_id, answer.number], column[answer.fingerprint]
        cell[answer.run_id, answer.number, answer.expert] = at
        if answer.answer is not None:
            texts[at] = str(answer.answer.get("content") or "")
            for field, value in _taken(answer).items():
                values[field][at] = value
    for mark in sorted(evidence.marks, key=lambda m: -RANK[m.source]):
        at_cell = cell.get((mark.run_id, mark.number, mark.expert))
        if at_cell is not None:  # better sources come later and take the place
            values["scores"][at_cell], sources[at_cell] = mark.score, mark.source
    known = names or {}
    latest = {a.fingerprint: a.expert for a in evidence.answers}
    return Table(
        tuple(rows),
        fingerprints,
        tuple(known.get(f, latest[f]) for f in fingerprints),
        sources=sources,
        texts=texts,
        **values,
    )


_TAKEN = ("tokens", "latency_s", "prompt_tokens", "cost_usd")


def _taken(answer: LearningAnswer) -> dict[str, float]:
    latency = None if answer.latency_ms is None or answer.logged else answer.latency_ms / 1000
    found = {
        "tokens": answer.completion_tokens,
        "latency_s": latency,
        "prompt_tokens": answer.prompt_tokens,
        "cost_usd": answer.cost_usd,
    }
    return {name: float(value) for name, value in found.items() if value is not None}


def _rows(
    prompts: Sequence[LearningPrompt],
) -> tuple[list[LearningPrompt], dict[tuple[str, int], int]]:
    """Return one row per distinct request, and the row of each prompt."""
    row: dict[str, int] = {}
    kept: list[LearningPrompt] = []
    of_prompt = {}
    for prompt in prompts:
        if prompt.digest not in row:
            row[prompt.digest] = len(kept)
            kept.append(prompt)
        of_prompt[prompt.run_id, prompt.number] = row[prompt.digest]
    return kept, of_prompt
