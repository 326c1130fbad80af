"""Find panels that would pay, from replayed answers.

Modes that choose among answers need no further calls. For those that write a new one (`moa`,
`nominal_group`), a run asks the aggregator on request. Modes that ask one expert several times
can't be evaluated this way.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collegium.experts.aggregation.keys import key_of

Array = NDArray[np.float64]
FEWEST = 30
"""Prompts that all members answered."""
CANDIDATES = 4
"""The best and the cheapest experts that panels are made of."""
SHOWN = 6
Z = 1.96
MOST_LOSS = 0.01


SEAL = "panel "
"""Begins what takes the place of an expert's fingerprint in answers of panels."""


@dataclass(frozen=True)
class PlayedPanel:
    """A panel's marks and dollars of prompts (n), NaN where it has none."""

    mode: str
    members: tuple[str, ...]
    scores: Array
    usd: Array


@dataclass(frozen=True)
class Replays:
    """Marks and dollars of prompts (n) by experts (e), and what was answered, by row and column."""

    scores: Array
    usd: Array
    texts: Mapping[tuple[int, int], str]
    names: Sequence[str]
    applications: Sequence[str | None]
    written: Sequence[PlayedPanel] = ()


def panel_name(mode: str) -> str:
    """The name that takes an expert's place in answers and marks of a panel."""
    return f"collegium/{mode}"


def panel_seal(mode: str, members: Sequence[str]) -> str:
    """What takes the place of an expert's fingerprint in answers of a panel."""
    return SEAL + json.dumps([mode, *members])


def panel_of(seal: str) -> tuple[str, tuple[str, ...]] | None:
    """The mode and the members of a panel's seal; None for an expert's fingerprint."""
    if not seal.startswith(SEAL):
        return None
    mode, *members = json.loads(seal.removeprefix(SEAL))
    return mode, tuple(members)


def panels_that_pay(replays: Replays, best: int) -> list[dict[str, Any]]:
    """Panels that are better than the best single expert (a column), or as good for less money.

    Each is judged on all traffic and on every application with enough prompts.
    """
    keys = _keys(replays)
    groups: dict[str | None, NDArray[np.intp]] = {"": np.arange(len(replays.scores))}
    for name in dict.fromkeys(replays.applications):
        groups[name] = np.flatnonzero([a == name for a in replays.applications])
    tried = list(replays.written)
    for mode, seats in _panels(replays, best):
        names = tuple(replays.names[i] for i in seats)
        tried.append(PlayedPanel(mode, names, *_played(mode, seats, replays, keys)))
    found = []
    for panel in tried:
        for application, rows in groups.items():
            row = _compared(panel, replays, best, rows)
            if row is not None and _pays(row):
                found.append({**row, "application": application or None})
    return sorted(found, key=lambda row: (-row["gain_points"], row["usd_per_1k"]))[:SHOWN]


def _keys(replays: Replays) -> NDArray[np.intp]:
    """A number for each different normalised answer of a prompt, shape (n, e); -1: no answer."""
    keys = np.full(replays.scores.shape, -1, dtype=np.intp)
    known: dict[tuple[int, Any], int] = {}
    for (row, column), text in replays.texts.items():
        key = row, key_of({"role": "assistant", "content": text})
        keys[row, column] = known.setdefault(key, len(known))
    return keys


def _panels(replays: Replays, best: int) -> list[tuple[str, tuple[int, ...]]]:
    """Votes of three, and cascades of two cheap experts before the best one."""
    marked = ~np.isnan(replays.scores)
    level = np.where(marked, replays.scores, 0.0).sum(axis=0) / np.maximum(marked.sum(axis=0), 1)
    able = [i for i in range(len(level)) if marked[:, i].sum() >= FEWEST]
    strong = sorted(able, key=lambda i: -level[i])[:CANDIDATES]
    cheap = sorted(able, key=lambda i: replays.usd[:, i].mean())[:CANDIDATES]
    votes = {tuple(sorted(three)) for group in (strong, cheap) for three in combinations(group, 3)}
    pairs = [pair for pair in combinations(cheap, 2) if best not in pair]
    return [
        *(("vote", members) for members in sorted(votes)),
        *(("cascade", (*pair, best)) for pair in pairs),
    ]


def _played(
    mode: str, members: tuple[int, ...], replays: Replays, keys: NDArray[np.intp]
) -> tuple[Array, Array]:
    """Return the panel's mark and dollars on each prompt (n), NaN if a member's are unknown."""
    count = len(replays.scores)
    score, cost = np.full(count, np.nan), np.full(count, np.nan)
    own = keys[:, members]
    complete = (own >= 0).all(axis=1) & ~np.isnan(replays.scores[:, members]).any(axis=1)
    for row in np.flatnonzero(complete):
        paid = [float(replays.usd[row, m]) for m in members]
        if mode == "vote":
            at, cost[row] = _voted(own[row]), sum(paid)
        else:
            agreed = own[row][0] == own[row][1]
            at, cost[row] = (0, sum(paid[:2])) if agreed else (2, sum(paid))
        score[row] = replays.scores[row, members[at]]
    return score, cost


def _voted(keys: NDArray[np.intp]) -> int:
    """The first member that gave the most common answer."""
    counts = Counter(keys.tolist())
    most = max(counts.values())
    return next(i for i, key in enumerate(keys.tolist()) if counts[key] == most)


def vain_panels(replays: Replays, best: int) -> list[str]:
    """Say of each panel that was run why it is not among those that pay."""
    found = []
    for panel in replays.written:
        name = f"Panel {panel.mode} of {', '.join(panel.members)}"
        row = _compared(panel, replays, best, np.arange(len(panel.scores)))
        if row is None:
            tried = int((~np.isnan(panel.scores)).sum())
            found.append(f"{name} was tried on {tried} prompts; {FEWEST} are needed to judge it.")
        elif not _pays(row):
            gain, margin = row["gain_points"], row["margin_points"]
            price = f"${row['usd_per_1k']:.4f} per 1,000 prompts"
            found.append(f"{name} does not pay: {gain:+.1f} ± {margin:.1f} points at {price}.")
    return found


def _pays(row: Mapping[str, Any]) -> bool:
    """Whether a panel is surely better than the best single expert, or as good for less money."""
    surely = row["gain_points"] > row["margin_points"]
    return bool(surely or (row["saved"] > 0 and row["gain_points"] >= -100 * MOST_LOSS))


def _compared(
    panel: PlayedPanel, replays: Replays, best: int, rows: NDArray[np.intp]
) -> dict[str, Any] | None:
    """Compare the panel with the best single expert; None if too few prompts have both."""
    score, cost = panel.scores[rows], panel.usd[rows]
    difference = score - replays.scores[rows, best]
    known = ~np.isnan(difference)
    if known.sum() < FEWEST:
        return None
    gain = float(difference[known].mean())
    error = float(difference[known].std() / np.sqrt(known.sum()))
    usual = max(float(replays.usd[rows, best][known].mean()), 1e-15)
    saved = 1 - float(cost[known].mean()) / usual
    return {
        "mode": panel.mode,
        "members": list(panel.members),
        "prompts": int(known.sum()),
        "quality": round(float(score[known].mean()), 4),
        "gain_points": round(100 * gain, 2),
        "margin_points": round(100 * Z * error, 2),
        "saved": round(saved, 4),
        "usd_per_1k": round(1000 * float(cost[known].mean()), 6),
    }
