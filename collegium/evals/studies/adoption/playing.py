"""Fit a router to a draw of marked prompts of a world, and let it decide the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collegium.evals.core.arrays import Floats, Ints
from collegium.evals.studies.adoption.marks import Labels, marked
from collegium.evals.studies.adoption.worlds import World
from collegium.experts.clients.counting import prompt_tokens
from collegium.registry.expert import Expert
from collegium.router.applications.signals import Signals
from collegium.router.artifact import FittedRouter, bundled, load, save
from collegium.router.costs import Speeds
from collegium.router.decision import Decision, Limits, Query
from collegium.router.forecasting import Asked, Reading, fingerprint
from collegium.router.router import Router
from collegium.router.training import Measured, fit_router
from collegium.router.vectors import Encoder
from collegium.router.views import familiar

WATTS = 45.0


class _Named:
    """An encoder of whom only the name is asked: the vectors are there."""

    def __init__(self, name: str) -> None:
        self.name = name

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Nobody asks for this."""
        raise NotImplementedError


def everybody_is_up(expert: Expert) -> None:
    """Nobody is down in an offline world."""


@dataclass(frozen=True)
class Adopted:
    """A router that was fitted to some of a world's prompts."""

    world: World
    router: Router
    encoder: Encoder | None = None
    """What reads parts of unfamiliar prompts; None on day one, when nothing is marked."""

    @classmethod
    def on(
        cls,
        world: World,
        rows: Ints,
        encoder: Encoder,
        *,
        labels: Labels = "reference",
        seed: int = 0,
        scores: Floats | None = None,
    ) -> Adopted:
        """Fit a router to the marks of these prompts; `scores` (rows, e) are given ones."""
        marks = (
            marked(world, rows, labels, np.random.default_rng(seed)) if scores is None else scores
        )
        fitted = fit_router(measured(world, rows, marks), encoder)
        return cls(world, Router(encoder, fitted, Speeds(WATTS)), encoder)

    @classmethod
    def on_day_one(cls, world: World) -> Adopted:
        """The router that ships with the service: it has no mark of any expert of the world."""
        fitted = load(bundled("minilm"))
        return cls(world, Router(_Named(fitted.encoder), fitted, Speeds(WATTS)))

    def saved(self) -> Adopted:
        """The same router as a service reads it from its files, which hold single precision."""
        with TemporaryDirectory() as folder:
            save(self.fitted, Path(folder))
            fitted = load(Path(folder))
        encoder = _Named(fitted.encoder)
        return Adopted(self.world, Router(encoder, fitted, Speeds(WATTS)), self.encoder)

    @property
    def fitted(self) -> FittedRouter:
        """What was learnt."""
        return self.router.fitted

    def readings(self, X: Floats, rows: Ints) -> list[Reading]:
        """What is believed of these prompts, with embeddings X (rows, d)."""
        asked = [Asked(self.world.applications[row]) for row in rows]
        X = X[:, : self.fitted.dimensions]
        if self.encoder is not None:
            evidence = self.fitted.beliefs.evidence_
            texts = [self.world.prompts[row] for row in rows]
            X = familiar(texts, X, evidence.weights(X), evidence, self.encoder)
        return self.router.forecaster.read_all(X, asked)

    def decisions(self, readings: list[Reading], rows: Ints, model: str) -> list[Decision]:
        """What the service decides for these prompts: by the same function, without the service."""
        experts = self.world.experts
        return [
            self.router.decide_on(
                query(self.world, int(row), model), experts, read, everybody_is_up
            )
            for read, row in zip(readings, rows, strict=True)
        ]

    def chosen(self, decisions: list[Decision]) -> Ints:
        """The experts' numbers."""
        number = {e.name: i for i, e in enumerate(self.world.experts)}
        return np.array([number[d.expert] for d in decisions])


def query(world: World, row: int, model: str) -> Query:
    """A request as the service sees it."""
    application = world.applications[row]
    return Query(
        world.prompts[row].strip(),
        model,
        Limits(),
        prompt_tokens=prompt_tokens(body(world, row, model)),
        signals=Signals(tag=application),
        application=application,
    )


def body(world: World, row: int, model: str) -> dict[str, Any]:
    """The same request as a client sends it."""
    asked = {"model": model, "messages": [{"role": "user", "content": world.prompts[row]}]}
    application = world.applications[row]
    return asked if application is None else asked | {"metadata": {"application": application}}


def measured(world: World, rows: Ints, marks: Floats) -> Measured:
    """Marked prompts as the router learns from them: it is not told their tasks."""
    return Measured(
        prompts=[world.prompts[row] for row in rows],
        skills=[""] * len(rows),
        groups=[str(row) for row in rows],
        fingerprints=[fingerprint(e) for e in world.experts],
        scores=marks,
        tokens=world.output_tokens[rows],
        latency_s=np.full(marks.shape, np.nan),
        signals=[Signals(tag=world.applications[row]) for row in rows],
        prompt_tokens=np.repeat(world.input_tokens[rows][:, None], marks.shape[1], axis=1),
    )


def with_experts(world: World, experts: tuple[Expert, ...]) -> World:
    """The world of some of its experts, in their order."""
    keep = [world.experts.index(expert) for expert in experts]
    return replace(
        world,
        experts=experts,
        scores=world.scores[:, keep],
        output_tokens=world.output_tokens[:, keep],
    )
