"""`collegium bench load`: replay a recorded trace through the HTTP API."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from collegium.cli.numbers import FiniteRange
from collegium.cli.output import command_line, json_option, print_json, print_table

if TYPE_CHECKING:
    from collegium.evals.load.report import LoadReport, Spread
    from collegium.evals.load.trace import Arrival


@click.command(epilog="Example: collegium bench load --requests 100 --speed 1 --speed 10 --json")
@click.option("--trace", default="azure_llm_2023_conv", help="Trace in DATA/traces.")
@click.option("--requests", type=click.IntRange(1), default=200, help="Number of requests.")
@click.option(
    "--speed",
    "speeds",
    type=FiniteRange(0, min_open=True),
    multiple=True,
    default=(1.0, 10.0),
    help="Speed-up of the replay; repeatable.",
)
@click.option("--model", default="auto", help="A virtual model or an expert.")
@click.option("--most-prompt-tokens", type=click.IntRange(1), default=256, help="Truncate to this.")
@click.option("--most-output-tokens", type=click.IntRange(1), default=32, help="Truncate to this.")
@click.option("--max-latency-ms", type=FiniteRange(0), help="Deadline of each request.")
@click.option("--ttft", "ttft_s", default=2.0, help="Target: seconds to the first token.")
@click.option("--tpot", "tpot_s", default=0.2, help="Target: seconds per further token.")
@click.option("--latency", "latency_s", type=float, help="Target: seconds for the whole answer.")
@click.option("--data", type=click.Path(path_type=Path), help="Folder of the data sets.")
@json_option
def load(as_json: bool, **options: Any) -> None:
    """Replay a trace of a real service: its arrivals and lengths, with real prompts.

    Uses the running service, or starts one. Requests are sent at the trace's times, even if earlier
    ones are still waiting (open loop).
    """
    report = asyncio.run(_load(**options))
    if as_json:
        return print_json(asdict(report))
    _show(report)


async def _load(
    *,
    trace: str,
    requests: int,
    speeds: tuple[float, ...],
    model: str,
    most_prompt_tokens: int,
    most_output_tokens: int,
    max_latency_ms: float | None,
    ttft_s: float,
    tpot_s: float,
    latency_s: float | None,
    data: Path | None,
) -> LoadReport:
    from collegium.cli.local_service import some_service
    from collegium.evals.core.data import data_root, load_set
    from collegium.evals.core.provenance import provenance
    from collegium.evals.load.replay import replay
    from collegium.evals.load.report import LoadReport, Objective, summarise
    from collegium.evals.load.trace import read_trace
    from collegium.settings import load_settings

    folder, settings = data_root(data), load_settings()
    arrivals = read_trace(folder / "traces", trace, requests)
    texts = load_set(folder / "alpacaeval2").prompts
    routing = {} if max_latency_ms is None else {"max_latency_ms": max_latency_ms}
    fields = {"model": model, "stream": True, "routing": routing}
    asked = _requests(arrivals, texts, most_prompt_tokens, most_output_tokens)
    bodies = [fields | request for request in asked]
    key = settings.api_key.get_secret_value() if settings.api_key else None
    objective, runs = Objective(ttft_s, tpot_s, latency_s), []
    async with some_service() as url:
        for speed in speeds:
            sent, seconds = await replay(
                url, arrivals, bodies, speed=speed, key=key, label=f"x{speed:g}"
            )
            runs.append(summarise(speed, sent, seconds, objective))
    made = provenance(command_line(), 0, {"requests": requests})
    return LoadReport(trace, objective, runs, made)


def _requests(
    arrivals: Sequence[Arrival], texts: Sequence[str], most_prompt: int, most_output: int
) -> Iterator[dict[str, Any]]:
    """The trace's prompts and lengths, in tokens, the longer ones cut."""
    from collegium.evals.load.trace import prompt_of

    for number, arrival in enumerate(arrivals):
        prompt = prompt_of(min(arrival.prompt_tokens, most_prompt), texts, number)
        yield {
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": max(1, min(arrival.output_tokens, most_output)),
        }


def _show(report: LoadReport) -> None:
    header = ("SPEED", "OFFERED/S", "STATUSES", "TTFT P50/P95/P99", "TPOT", "WAITING")
    rows = [
        (
            f"x{run.speed:g}",
            f"{run.offered_per_s:.1f}",
            ", ".join(f"{status}: {n}" for status, n in run.statuses.items()),
            _times(run.ttft_s),
            _times(run.tpot_s),
            _times(run.waited_s),
            f"{run.tokens_per_s:.0f}",
            f"{run.goodput_per_s:.2f}",
            f"{run.good_share:.0%}",
        )
        for run in report.runs
    ]
    print_table((*header, "TOKENS/S", "GOODPUT/S", "GOOD"), rows)


def _times(spread: Spread) -> str:
    found = (spread.p50, spread.p95, spread.p99)
    return " / ".join("-" if value is None else f"{value:.2f}" for value in found) + " s"
