"""`collegium router explain`: which expert would answer a query, and why."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TextIO

import click

from collegium.cli.output import json_option, print_json, print_table

if TYPE_CHECKING:
    from collegium.registry.decisions.log import FeedbackRecord, OutcomeRecord
    from collegium.router.router import Router
    from collegium.settings import Settings


@click.command(epilog='Example: collegium router explain "Convert 3 km to metres."')
@click.argument("prompt", required=False)
@click.option("--model", default="auto", help="A virtual model or an expert.")
@click.option("--application", help="Application of the request, by its tag or key.")
@click.option(
    "--system",
    type=click.File(encoding="utf-8"),
    help="File with the system prompt, to recognise the application.",
)
@click.option("--decision", help="Id of a recorded decision to explain instead.")
@json_option
def explain(
    prompt: str | None,
    model: str,
    application: str | None,
    system: TextIO | None,
    decision: str | None,
    as_json: bool,
) -> None:
    """Show which expert would answer a query and why, or explain a recorded decision.

    Uses the running service, which knows which experts are up and how busy they are. Without
    one, it uses the registry and assumes that every expert is up. No expert is called.
    """
    if (prompt is None) == (decision is None):
        raise click.UsageError("give a PROMPT, or a recorded decision's id with --decision")
    if decision is not None:
        return _explain_recorded(decision, as_json=as_json)
    messages = [{"role": "user", "content": str(prompt)}]
    if system is not None:
        messages.insert(0, {"role": "system", "content": system.read()})
    body: dict[str, Any] = {"model": model, "messages": messages}
    if application is not None:
        body["metadata"] = {"application": application}
    found = asyncio.run(_decide(body))
    if as_json:
        return print_json(found)
    click.echo(found["reason"])
    click.echo(f"Application {found['application'] or 'unknown'}")
    click.echo(f"Out-of-distribution score {found['ood_score']:.2f} (1: the marks say nothing)\n")
    _print_forecasts(found["forecasts"])


async def _decide(body: dict[str, Any]) -> dict[str, Any]:
    from collegium.cli.service_client import running_service

    async with running_service() as service:
        if service is not None:
            decided: dict[str, Any] = await service.call("POST", "/v1/route", body)
            return decided
    return await _decide_here(body)


async def _decide_here(body: dict[str, Any]) -> dict[str, Any]:
    import msgspec

    from collegium.cli.service_client import open_database
    from collegium.errors import SetupError
    from collegium.experts.dispatch.terms import ANY_TIME
    from collegium.registry.applications import ApplicationRegistry
    from collegium.registry.decisions.log import DecisionLog
    from collegium.registry.experts import ExpertRegistry
    from collegium.settings import load_settings
    from collegium.web.protocols.chat_request import ChatRequest
    from collegium.web.serving.prepare import prepare
    from collegium.web.serving.recognition import Recognition
    from collegium.web.serving.service import REMEMBERED
    from collegium.web.serving.shapes import decision_json

    query = prepare(ChatRequest.model_validate(body), ANY_TIME).query
    async with open_database() as database:
        recognition = Recognition(ApplicationRegistry(database))
        await recognition.read()
        experts = await ExpertRegistry(database).list()
        past = await DecisionLog(database).recent(REMEMBERED)
    if not experts:
        raise SetupError("no expert is registered yet: `collegium serve` adds the embedded pool")
    click.echo("No service runs here: decided as if every expert were up.\n", err=True)
    router = _router(load_settings(), past, experts)
    recognition.know(router.fitted.applications)
    query = recognition.recognised(query, experts)
    permitted = recognition.permitted(query, experts)
    decision = await router.decide(query, permitted, lambda expert: None)
    shown: dict[str, Any] = msgspec.to_builtins(decision_json(decision))
    return shown


def _router(settings: Settings, past: Any, experts: Any) -> Router:
    """The router as the service would load it."""
    from collegium.router.artifact import folder_of, load
    from collegium.router.costs import Speeds
    from collegium.router.encoder import as_fitted, make_encoder
    from collegium.router.recall import lengths, recorded
    from collegium.router.router import Router
    from collegium.router.tokens import Tokens

    speeds, tokens = Speeds(settings.device_watts), Tokens()
    speeds.recall(recorded(past, experts, turns=settings.engine_memory_gib is not None))
    tokens.recall(lengths(past))
    fitted = load(folder_of(settings))
    encoder = as_fitted(make_encoder(settings.encoder, threads=1), fitted.encoder)
    return Router(encoder, fitted, speeds, tokens=tokens)


def _explain_recorded(decision_id: str, *, as_json: bool) -> None:
    from dataclasses import asdict

    logged = asyncio.run(_recorded(decision_id))
    if as_json:
        return print_json(asdict(logged))
    decision = logged.decision
    asked = "its text was not kept" if decision.prompt is None else f"“{decision.prompt[:200]}”"
    click.echo(f"{decision.created_at:%Y-%m-%d %H:%M:%S} UTC, {decision.requested_model}: {asked}")
    click.echo(decision.reason)
    if decision.application is not None:
        click.echo(f"Application {decision.application}")
    if decision.limits:
        limits = ", ".join(f"{name} {value}" for name, value in decision.limits.items())
        click.echo(f"Limits: {limits}")
    click.echo(_what_came(logged.outcome))
    for each in logged.feedback:
        comment = f": {each.comment}" if each.comment else ""
        click.echo(f"{_said(each)}{comment}")
    click.echo()
    _print_forecasts(decision.forecasts)


def _said(feedback: FeedbackRecord) -> str:
    """A piece of feedback in words."""
    if feedback.score is not None:
        return f"Rated {feedback.verdict or feedback.score}"
    preferred = f" ({feedback.preferred})" if feedback.preferred else ""
    return f"Shown by a choice: {feedback.source}{preferred}"


async def _recorded(decision_id: str) -> Any:
    from collegium.cli.service_client import open_database
    from collegium.registry.decisions.log import DecisionLog

    async with open_database() as database:
        return await DecisionLog(database).get(decision_id)


def _what_came(outcome: OutcomeRecord | None) -> str:
    if outcome is None:
        return "Nothing is recorded of what came of it."
    if outcome.status != "ok":
        return f"It ended with {outcome.status}: {outcome.error or 'the caller left'}"
    energy = "" if outcome.energy_j is None else f", {outcome.energy_j:.1f} J"
    return (
        f"It took {outcome.latency_ms:.0f} ms, {outcome.completion_tokens} tokens, "
        f"{_dollars(outcome.cost_usd)}{energy}."
    )


def _dollars(cost_usd: float | None) -> str:
    return "unknown cost" if cost_usd is None else f"${cost_usd:.6f}"


def _print_forecasts(forecasts: Any) -> None:
    header = ("EXPERT", "P(CORRECT)", "COST", "LATENCY", "ENERGY", "NOTE")
    print_table(header, [_row(forecast) for forecast in forecasts])


def _row(forecast: dict[str, Any]) -> tuple[str, ...]:
    quality, energy = forecast["quality"], forecast["energy_j"]
    return (
        forecast["expert"],
        "unknown" if quality is None else f"{quality:.1%}",
        _dollars(forecast["cost_usd"]),
        f"{forecast['latency_ms']:.0f} ms",
        "unknown" if energy is None else f"{energy:.1f} J",
        forecast["note"],
    )
