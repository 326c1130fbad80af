"""`collegium bench gpu`: every measurement of engines that needs a GPU, in one run."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import click

from collegium.cli.numbers import FiniteRange
from collegium.cli.output import json_option, print_json, print_table


@click.command(epilog="Example: collegium bench gpu --report gpu.json")
@click.option("--seconds", type=FiniteRange(1, 3600), default=540.0, help="Time limit.")
@click.option("--report", type=click.Path(path_type=Path), help="File for the JSON report.")
@json_option
def gpu(seconds: float, report: Path | None, as_json: bool) -> None:
    """Start the embedded model as an engine and measure it: memory, speed, tool calls, sleep.

    Without a GPU the engine runs on the processor, and what needs a GPU is left out. Exits with 1
    if a step failed.
    """
    from collegium.evals.bench.gpu import Bench, bench_gpu
    from collegium.experts.embedded import ensure_base_model
    from collegium.settings import load_settings

    settings = load_settings()
    model = ensure_base_model(settings.cache_dir, lambda text: click.echo(text, err=True))
    bench = Bench(model, settings.data_dir / "logs", settings.engine_python)
    found = asyncio.run(bench_gpu(bench, seconds=seconds))
    if report is not None:
        report.write_text(json.dumps(found, indent=2) + "\n")
    if as_json:
        return print_json(found)
    _print(found)
    if any(step["failed"] for step in found["steps"].values()):
        click.get_current_context().exit(1)


def _print(found: dict[str, Any]) -> None:
    where = found["machine"]["engines_run_on"]
    click.echo(f"{found['model']} on the {'processor' if where == 'cpu' else 'GPU'}:")
    rows = []
    for name, step in found["steps"].items():
        shown = {k: v for k, v in step["found"].items() if not isinstance(v, list | dict)}
        words = ", ".join(f"{key} {_cell(value)}" for key, value in shown.items())
        rows.append((name, f"{step['seconds']:.1f} s", step["failed"] or words or "-"))
    print_table(("STEP", "TOOK", "FOUND"), rows)


def _cell(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)
