"""What is evaluated is what is served: decisions of a real `collegium serve` and offline ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from collegium.cli.adoption_service import decided_by_api
from collegium.evals.routing.encoders import encoder
from collegium.evals.studies.adoption.draws import POLICIES
from collegium.evals.studies.adoption.playing import Adopted
from collegium.evals.studies.adoption.worlds import World, disturbed, world
from tests.evals.studies.adoption.sets import sets

pytestmark = pytest.mark.slow
DECISIONS, REPLAYS = 1_000, 200


def with_specialists(played: World) -> World:
    """The same world with another best expert in each task."""
    rates = np.full(played.scores.shape, 0.4)
    for expert, task in enumerate(sorted(set(played.tasks))):
        rates[[each == task for each in played.tasks], expert] = 0.95
    scores = np.random.default_rng(0).random(rates.shape) < rates
    return replace(played, scores=scores.astype(np.float64))


def test_a_thousand_decisions_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under each policy, with applications that are known, merged, mistaken or not told."""
    monkeypatch.setenv("COLLEGIUM_CACHE_DIR", str(tmp_path / "cache"))
    school, office = sets(each=400)
    prompts = tuple(f"\n{prompt} in the evening\n\n" for prompt in school.prompts)
    evening = replace(school, name="evening", prompts=prompts)
    played = disturbed(with_specialists(world([school, office, evening])))
    vectors = encoder("static+surface")
    adopted = Adopted.on(played, played.train[:REPLAYS], vectors).saved()
    judges = played.judges[:DECISIONS]
    assert len(judges) == DECISIONS
    X = vectors.encode([played.prompts[row] for row in judges]).astype(np.float64)
    readings = adopted.readings(X, judges)
    live = decided_by_api(adopted, judges.tolist(), list(POLICIES.values()))
    for model in POLICIES.values():
        decisions = adopted.decisions(readings, judges, model)
        assert live[model] == [decision.expert for decision in decisions]
    assert len(set(live["auto"])) > 3, "one expert for everything would prove nothing"
