"""A saved router is judged by what the service would decide for the same requests."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from collegium.evals.core.arrays import Floats
from collegium.evals.routing.encoders import encoder as named_encoder
from collegium.evals.routing.exam_results import Result, results
from collegium.evals.routing.problem import Problem
from collegium.evals.routing.saved import NAME, saved_forecaster, saved_forecasts, unseen_part
from collegium.evals.training.learning import recorded_set
from collegium.registry.expert import Expert
from collegium.router.applications.resolver import Applications
from collegium.router.artifact import FittedRouter, load, save
from collegium.router.costs import Speeds
from collegium.router.decision import Query
from collegium.router.router import Router
from collegium.router.training import Measured, fit_router
from collegium.router.vectors import Encoder

EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "outcomes"


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    """The one that needs no second to load."""
    return named_encoder("static+surface")


async def live(
    problem: Problem, fitted: FittedRouter, encoder: Encoder
) -> tuple[list[str], Floats]:
    """Whom a service chooses that knows the router's applications, and its forecasts (n, e)."""
    router = Router(encoder, fitted, Speeds(45.0))
    experts = [
        Expert(model, "openai", model, base_url="http://127.0.0.1:9/v1") for model in problem.models
    ]
    known = Applications()
    known.load(fitted.applications)
    chosen, forecasts = [], []
    for row in problem.test_rows:
        signals = problem.signals[row]
        query = Query(problem.prompts[row], signals=signals, application=known.of(signals))
        decision = await router.decide(query, experts, lambda expert: None)
        chosen.append(decision.expert)
        by_name = {each.expert: each.quality for each in decision.forecasts}
        forecasts.append([by_name[expert.name] for expert in experts])
    return chosen, np.array(forecasts, dtype=np.float64)


@pytest.mark.parametrize("pool", [(), ("acme/small-3b", "acme/coder-14b")])
async def test_router_eval_chooses_as_the_service_does(
    pool: tuple[str, ...], encoder: Encoder, tmp_path: Path
) -> None:
    """For the example's requests, by their applications: without them it forecasts otherwise."""
    save(fit_router(recorded_set(EXAMPLE, pool=pool), encoder), tmp_path)
    fitted = load(tmp_path)
    problem = unseen_part(fitted, EXAMPLE)
    X = np.asarray(encoder.encode(problem.prompts), dtype=np.float64)

    def judged(problem: Problem) -> Result:
        contender = {NAME: saved_forecaster(fitted, problem.models, encoder)}
        found = results(problem, X, contender, tick=lambda name: None)
        return next(each for each in found if each.name == NAME)

    chosen, forecasts = await live(problem, fitted, encoder)
    found, blind = judged(problem), judged(replace(problem, signals=()))
    assert found.chosen is not None
    assert found.forecasts is not None
    assert blind.forecasts is not None
    assert [problem.models[column] for column in found.chosen] == chosen
    np.testing.assert_allclose(found.forecasts, forecasts, atol=1e-12)
    assert np.abs(blind.forecasts - forecasts).max() > 0.05


async def test_applications_without_marks_are_read_as_the_service_reads_them(
    encoder: Encoder,
) -> None:
    """By the text that their requests share."""
    fitted = fit_router(_without(recorded_set(EXAMPLE), "review"), encoder)
    assert fitted.beliefs.features_.reads_context
    problem = unseen_part(fitted, EXAMPLE)
    asking = {signals.tag for signals in problem.signals}
    assert "review" in asking
    _, forecasts = await live(problem, fitted, encoder)
    rows = problem.test_rows
    prompts = [problem.prompts[row] for row in rows]
    X = np.asarray(encoder.encode(prompts), dtype=np.float64)
    signals = [problem.signals[row] for row in rows]
    found = saved_forecasts(fitted, range(len(problem.models)), X, prompts, signals, encoder)
    np.testing.assert_allclose(found, forecasts, atol=1e-12)


def _without(measured: Measured, application: str) -> Measured:
    signals = measured.signals or []
    rows = [i for i, each in enumerate(signals) if each.tag != application]
    return replace(
        measured,
        prompts=[measured.prompts[i] for i in rows],
        skills=[measured.skills[i] for i in rows],
        groups=[measured.groups[i] for i in rows],
        signals=[signals[i] for i in rows],
        scores=measured.scores[rows],
        tokens=measured.tokens[rows],
        latency_s=measured.latency_s[rows],
        prompt_tokens=None,
        cost_usd=None,
    )
