"""`collegium batch …`: bulk jobs on the running service."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from collegium.cli.numbers import FiniteRange
from collegium.cli.output import json_option, print_json, print_table
from collegium.redaction import one_line

if TYPE_CHECKING:
    from collegium.cli.service_client import ServiceClient

ENDED = ("failed", "completed", "expired", "cancelled")
LOOK_S = 0.5


@click.group(epilog="Example: collegium batch submit questions.jsonl --wait")
def command() -> None:
    """Run bulk jobs: routed as a whole, batched by expert. Needs the service."""


@command.command(epilog="Example: collegium batch submit questions.jsonl --window 2h --wait")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--window", default="24h", help="Time until unanswered lines expire.")
@click.option("--max-cost", type=FiniteRange(0), help="Maximum dollars for the job.")
@click.option("--capacity", multiple=True, metavar="EXPERT=LINES", help="Most lines per expert.")
@click.option(
    "--endpoint", default="/v1/chat/completions", help="Endpoint of the lines.", show_default=True
)
@click.option("--note", multiple=True, metavar="KEY=TEXT", help="Metadata for the job.")
@click.option("--wait", is_flag=True, help="Wait for the end; Ctrl-C does not cancel the job.")
@json_option
def submit(
    file: Path,
    window: str,
    max_cost: float | None,
    capacity: tuple[str, ...],
    endpoint: str,
    note: tuple[str, ...],
    wait: bool,
    as_json: bool,
) -> None:
    """Submit a file of requests, one JSON object per line, as in OpenAI's batches.

    With --wait the status is 1 if the job failed or no line was answered.
    """
    if not file.is_file():
        raise click.UsageError(f"there is no file '{file}'")
    limits: dict[str, Any] = {"capacity": _capacities(capacity)} if capacity else {}
    if max_cost is not None:
        limits["max_cost_usd"] = max_cost
    body = {
        "endpoint": endpoint,
        "completion_window": window,
        "metadata": _pairs(note, "--note") or None,
        "routing": limits,
    }
    batch = asyncio.run(_submit(file, body, wait=wait))
    if as_json:
        print_json(batch)
    else:
        _tell(batch, waited=wait)
    if wait and (batch["status"] == "failed" or not batch["request_counts"]["completed"]):
        click.get_current_context().exit(1)


@command.command(epilog="Example: collegium batch large questions.jsonl answers --ray auto")
@click.argument("source")
@click.argument("folder")
@click.option("--ray", required=True, metavar="ADDRESS", help="HOST:PORT of the head, or auto.")
@click.option("--service", metavar="URL", help="The service, as the nodes reach it.")
@click.option("--tasks", type=click.IntRange(1), default=4, help="Pieces at once.")
@click.option("--at-once", type=click.IntRange(1), default=32, help="Lines at once of a piece.")
@click.option("--shard-lines", type=click.IntRange(1), default=64, help="Lines of a piece.")
@click.option("--range-mib", type=FiniteRange(0.001), default=4.0, help="Planned together.")
@json_option
def large(
    source: str,
    folder: str,
    ray: str,
    service: str | None,
    tasks: int,
    at_once: int,
    shard_lines: int,
    range_mib: float,
    as_json: bool,
) -> None:
    """Answer a file of any size on a Ray cluster (experimental); run it again to go on.

    SOURCE and FOLDER are paths or URLs that all nodes reach, such as s3://… and gs://…. Every line
    is routed before the first one is asked. Answers are in FOLDER/output, refused lines in
    FOLDER/errors.
    """
    from collegium.cli.large_batch import answered

    cut = {"range_bytes": max(1, round(range_mib * 2**20)), "shard_lines": shard_lines}
    counts = answered(source, folder, ray, service, tasks=tasks, at_once=at_once, **cut)
    if as_json:
        return print_json(counts)
    click.echo(f"{counts['answered']} lines answered, {counts['failed']} failed: {folder}")


@command.command(epilog="Example: collegium batch status batch_0f3a --wait")
@click.argument("batch", required=False)
@click.option("--wait", is_flag=True, help="Wait for the job to end.")
@json_option
def status(batch: str | None, wait: bool, as_json: bool) -> None:
    """Show one job, or the latest ones."""
    if batch is None:
        if wait:
            raise click.UsageError("--wait needs the job's id")
        return _list(as_json)
    found = asyncio.run(_status(batch, wait=wait))
    if as_json:
        return print_json(found)
    for field in ("id", "status", "created_at", "expires_at", "output_file_id", "error_file_id"):
        click.echo(f"{field:15}  {found[field] if found[field] is not None else '-'}")
    click.echo(f"{'lines':15}  {_counts(found)}")
    if (money := found.get("money")) is not None:
        click.echo(f"{'money':15}  {_money(money)}")
    for message in _errors(found):
        click.echo(f"{'error':15}  {message}")


@command.command(epilog="Example: collegium batch results batch_0f3a --out answers.jsonl")
@click.argument("batch")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file.")
@click.option("--errors", is_flag=True, help="Failed lines instead of the answers.")
@json_option
def results(batch: str, out: Path | None, errors: bool, as_json: bool) -> None:
    """Fetch a job's answers: JSON lines, or with --json one list."""
    import json

    text = asyncio.run(_results(batch, "error_file_id" if errors else "output_file_id"))
    if as_json:
        lines = text.decode("utf-8", "surrogatepass").split("\n")
        text = (json.dumps([json.loads(line) for line in lines if line]) + "\n").encode()
    if out is None:
        click.echo(text, nl=False)
    else:
        out.write_bytes(text)
        click.echo(f"Wrote {out}", err=True)


@command.command(epilog="Example: collegium batch cancel batch_0f3a")
@click.argument("batch")
@json_option
def cancel(batch: str, as_json: bool) -> None:
    """Cancel a job. Answers so far are kept."""
    from collegium.cli.service_client import call

    found = asyncio.run(call("POST", f"/v1/batches/{batch}/cancel"))
    print_json(found) if as_json else click.echo(f"{batch} is {found['status']}.")


def _tell(batch: Any, *, waited: bool) -> None:
    click.echo(f"{batch['id']} is {batch['status']}: {_counts(batch)}")
    for message in _errors(batch):
        click.echo(f"Error: {message}", err=True)
    if not waited:
        click.echo(f"Follow it with `collegium batch status {batch['id']} --wait`.", err=True)
    elif batch["error_file_id"] is not None:
        words = f"See why lines failed with `collegium batch results {batch['id']} --errors`."
        click.echo(words, err=True)


def _errors(batch: Any) -> list[str]:
    return [one_line(error["message"]) for error in (batch["errors"] or {"data": []})["data"]]


def _list(as_json: bool) -> None:
    from collegium.cli.service_client import call

    found = asyncio.run(call("GET", "/v1/batches?limit=20"))
    if as_json:
        return print_json(found["data"])
    rows = [(b["id"], b["status"], _counts(b)) for b in found["data"]]
    print_table(("BATCH", "STATUS", "LINES"), rows)


async def _submit(file: Path, body: dict[str, Any], *, wait: bool) -> Any:
    from collegium.cli.service_client import required_service

    async with required_service() as service:
        with file.open("rb") as content:
            source = await service.upload("/v1/files", file.name, content, purpose="batch")
        batch = await service.call("POST", "/v1/batches", body | {"input_file_id": source["id"]})
        return await _until_ended(service, batch) if wait else batch


async def _status(batch: str, *, wait: bool) -> Any:
    from collegium.cli.service_client import required_service

    async with required_service() as service:
        found = await service.call("GET", f"/v1/batches/{batch}")
        return await _until_ended(service, found) if wait else found


async def _until_ended(service: ServiceClient, batch: Any) -> Any:
    """Show a bar until the job has ended; to interrupt it leaves the job alone."""
    from tqdm import tqdm

    with tqdm(desc=batch["status"], unit="line", mininterval=0) as bar:
        while True:
            counts = batch["request_counts"]
            bar.total = counts["total"] or None
            bar.n = counts["completed"] + counts["failed"]
            bar.set_description(batch["status"], refresh=False)
            bar.refresh()
            if batch["status"] in ENDED:
                return batch
            await asyncio.sleep(LOOK_S)
            batch = await service.call("GET", f"/v1/batches/{batch['id']}")


async def _results(batch: str, kind: str) -> bytes:
    from collegium.cli.service_client import required_service
    from collegium.errors import CollegiumError

    async with required_service() as service:
        found = await service.call("GET", f"/v1/batches/{batch}")
        if found[kind] is None:
            what = "answers" if kind == "output_file_id" else "errors"
            raise CollegiumError(f"{batch} is {found['status']} and has no file of {what}")
        return await service.download(f"/v1/files/{found[kind]}/content")


def _counts(batch: Any) -> str:
    counts = batch["request_counts"]
    failed = f", {counts['failed']} failed" if counts["failed"] else ""
    return f"{counts['completed']} of {counts['total']} answered{failed}"


def _money(told: dict[str, float | None]) -> str:
    parts = [f"${told['spent_usd'] or 0:.6f} spent"]
    if told["reserved_usd"]:
        parts.append(f"${told['reserved_usd']:.6f} reserved")
    if told["forecast_rest_usd"]:
        parts.append(f"${told['forecast_rest_usd']:.6f} forecast for the rest")
    budget = told["budget_usd"]
    parts.append("no budget" if budget is None else f"budget ${budget:.6f}")
    return ", ".join(parts)


def _pairs(given: tuple[str, ...], option: str) -> dict[str, str]:
    pairs = [text.partition("=") for text in given]
    if any(not key or not sign for key, sign, _ in pairs):
        raise click.UsageError(f"{option} takes KEY=VALUE")
    return {key: value for key, _, value in pairs}


def _capacities(given: tuple[str, ...]) -> dict[str, int]:
    pairs = _pairs(given, "--capacity")
    if wrong := [text for text in pairs.values() if not text.isdecimal()]:
        raise click.UsageError(f"--capacity takes whole numbers, not {wrong[0]!r}")
    return {expert: int(lines) for expert, lines in pairs.items()}
