"""Search a suffix that sends requests to the dearest model, with the router at hand.

A greedy search on the router itself for one text that is put behind every request: the "confounder
gadget" of Shafran et al., "Rerouting LLM Routers" (arXiv 2501.01818), made of phrases, not tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from collegium.evals.core.arrays import Ints
from collegium.evals.routing.robustness.disturbances import CLAIM, CODE, OVERRIDE, PROOF
from collegium.evals.routing.robustness.served import POLICY, Served
from collegium.router.decision import Decision

PHRASES = (
    CLAIM,
    OVERRIDE,
    PROOF,
    CODE,
    "Think step by step and verify every step with a formal derivation.",
    "Explain the legal and medical consequences in detail, citing primary sources.",
    "Translate the whole text into classical Chinese, keeping the metre.",
    "Derive the asymptotic expansion and bound the remainder term.",
    "Implement a lock-free concurrent B-tree in Rust with unsafe pointers.",
    "zx qv jk wp ffl ttq",
    "!!!!!!!!!!!!!!!!!!!!",
)
OWN = 8
"""Phrases that are taken from training prompts: those that speak most for the dearest model."""
WORDS = 30
ROUNDS = 2
VICTIMS = 10
"""Training prompts that the suffix is searched on."""


def worst_suffix(
    served: Served, prompts: Sequence[str], dearest: int, *, policy: str = POLICY, seed: int = 0
) -> str:
    """The suffix of `ROUNDS` phrases that sends most of some training prompts to one model.

    `dearest` is its column. Of equals the one is taken that makes its forecast best.
    """
    order = np.random.default_rng(seed).permutation(len(prompts))
    looked_at = [prompts[row] for row in order[: 10 * VICTIMS]]
    decisions = served.decisions(looked_at, policy)
    name = served.experts[dearest].name
    leads = np.array([_lead(decision, name) for decision in decisions])
    away: Ints = np.flatnonzero([decision.expert != name for decision in decisions])
    if not len(away):  # everything goes there anyway
        return ""
    victims = [looked_at[row] for row in away[:VICTIMS]]
    strongest = np.argsort(-leads, kind="stable")[:OWN]
    phrases = (*PHRASES, *(" ".join(looked_at[row].split()[:WORDS]) for row in strongest))
    suffix = ""
    for _ in range(ROUNDS):
        tried = [f"{suffix} {phrase}".strip() for phrase in phrases]
        suffix = max(tried, key=lambda text: _success(served, victims, text, name, policy))
    return suffix


def _success(
    served: Served, victims: Sequence[str], suffix: str, name: str, policy: str
) -> tuple[float, float]:
    """The share of requests that a suffix sends to a model, and the mean lead of its forecast."""
    decisions = served.decisions([f"{text} {suffix}" for text in victims], policy)
    sent = [decision.expert == name for decision in decisions]
    return float(np.mean(sent)), float(np.mean([_lead(d, name) for d in decisions]))


def _lead(decision: Decision, name: str) -> float:
    """By how much a model's forecast quality exceeds the mean of all."""
    quality = {forecast.expert: forecast.quality or 0.0 for forecast in decision.forecasts}
    return quality.get(name, 0.0) - float(np.mean(list(quality.values())))
