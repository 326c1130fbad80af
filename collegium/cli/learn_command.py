"""`collegium learn …`: replay prompts to experts, mark the answers, fit a router, and report."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from collegium.cli.learn_confirm import confirm
from collegium.cli.learn_report import show_estimate, show_report
from collegium.cli.numbers import FiniteRange
from collegium.cli.output import agreed, dollars, json_option, print_json, print_table
from collegium.cli.service_client import call

if TYPE_CHECKING:
    from collegium.cli.service_client import ServiceClient

RUNS = "/v1/learning/runs"
ENDED = ("finished", "failed", "cancelled")
LOOK_S = 0.5
html_option = click.option(
    "--html", type=click.Path(dir_okay=False, path_type=Path), help="Write the report as a page."
)


@click.group(
    invoke_without_command=True,
    epilog="Example: collegium learn --from prompts.jsonl --budget-usd 5",
)
@click.option(
    "--from", "file", type=click.Path(path_type=Path), help="File of prompts, JSON lines."
)
@click.option("--from-log", is_flag=True, help="Replay requests that the service recorded.")
@click.option("--application", help="With --from-log, of this application.")
@click.option("--since", help="With --from-log, since a time such as 2026-11-01T00:00:00Z.")
@click.option("--prompts", type=click.IntRange(1, 20_000), help="Most prompts [default: 400].")
@click.option("--budget-usd", type=FiniteRange(0), help="Maximum dollars for the run.")
@click.option("--experts", help="Experts to use, comma-separated [default: all].")
@click.option("--checker", help='A checker\'s name, or JSON such as {"name": "number"}.')
@click.option("--judge", help="Expert that judges answers which no checker can mark.")
@click.option(
    "--judge-method",
    metavar="METHOD",
    help="pairwise (compare each answer with the incumbent's), grade (each alone), or a plugin's "
    "[default: pairwise].",
)
@click.option(
    "--panels",
    metavar="MODES",
    help="Also try panels that write an answer, such as moa,nominal_group, on up to 200 prompts.",
)
@click.option("--no-race", is_flag=True, help="Send every prompt to every expert.")
@click.option("--seed", type=click.IntRange(0), help="Seed of the sample.")
@click.option("--yes", is_flag=True, help="Start without confirmation.")
@html_option
@json_option
@click.pass_context
def command(
    context: click.Context,
    /,
    file: Path | None,
    html: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Fit a router to your own prompts and report what it would save.

    States the cost and asks for confirmation. Then it replays the prompts to the experts, marks the
    answers, fits a router to the marks, and reports what a switch to it would save. Nothing changes
    until `collegium router promote`. Ctrl-C does not stop the run; `collegium learn status RUN
    --wait` returns to it.
    """
    if context.invoked_subcommand is not None:
        return
    if (file is None) == (not options["from_log"]):
        raise click.UsageError("name either --from FILE or --from-log")
    if file is not None and not file.is_file():
        raise click.UsageError(f"there is no file '{file}'")
    _show(asyncio.run(_learn(file, **options)), as_json=as_json, html=html)


@command.command(epilog="Example: collegium learn status lrn_4f1c --wait")
@click.argument("run_id", metavar="RUN")
@click.option("--wait", is_flag=True, help="Wait until the run has ended.")
@html_option
@json_option
def status(run_id: str, wait: bool, html: Path | None, as_json: bool) -> None:
    """Show a run: its progress, or its report when it has ended."""
    _show(asyncio.run(_status(run_id, wait=wait)), as_json=as_json, html=html)


@command.command("list", epilog="Example: collegium learn list")
@json_option
def list_runs(as_json: bool) -> None:
    """List the latest runs."""
    runs = asyncio.run(call("GET", RUNS))["data"]
    if as_json:
        return print_json(runs)
    rows = [
        (r["id"], r["status"], f"{r['answered']} of {r['planned']}", dollars(r['spent_usd']),
         r["router"] or "-")
        for r in runs
    ]  # fmt: skip
    print_table(("RUN", "STATUS", "ANSWERS", "SPENT", "ROUTER"), rows)


@command.command(epilog="Example: collegium learn start lrn_4f1c")
@click.argument("run_id", metavar="RUN")
@json_option
def start(run_id: str, as_json: bool) -> None:
    """Start a run that was proposed."""
    found = asyncio.run(call("POST", f"{RUNS}/{run_id}/start"))
    print_json(found) if as_json else click.echo(f"{run_id} is {found['status']}.")


@command.command(epilog="Example: collegium learn cancel lrn_4f1c")
@click.argument("run_id", metavar="RUN")
@json_option
def cancel(run_id: str, as_json: bool) -> None:
    """Cancel a run. Its answers are kept."""
    found = asyncio.run(call("POST", f"{RUNS}/{run_id}/cancel"))
    print_json(found) if as_json else click.echo(f"{run_id} is {found['status']}.")


@command.command(epilog="Example: collegium learn fit lrn_4f1c")
@click.argument("run_id", metavar="RUN")
@html_option
@json_option
def fit(run_id: str, html: Path | None, as_json: bool) -> None:
    """Fit and report again, after confirming marks or cancelling the run."""
    run = asyncio.run(call("POST", f"{RUNS}/{run_id}/fit"))
    _show(run, as_json=as_json, html=html)


@command.command(epilog="Example: collegium learn delete lrn_4f1c")
@click.argument("run_id", metavar="RUN")
@json_option
def delete(run_id: str, as_json: bool) -> None:
    """Delete a run with its prompts, answers and marks."""
    found = asyncio.run(call("DELETE", f"{RUNS}/{run_id}"))
    print_json(found) if as_json else click.echo(f"{run_id} is deleted.")


command.add_command(confirm)


async def _learn(file: Path | None, *, yes: bool, **options: Any) -> Any:
    from collegium.cli.service_client import required_service

    spec = _spec(options)
    async with required_service() as service:
        if file is not None:
            with file.open("rb") as content:
                sent = await service.upload("/v1/files", file.name, content, purpose="learning")
            spec["input_file_id"] = sent["id"]
        run = await service.call("POST", RUNS, spec)
        show_estimate(run)
        if not yes and not agreed("Start?"):
            await service.call("POST", f"{RUNS}/{run['id']}/cancel")
            raise click.Abort
        await service.call("POST", f"{RUNS}/{run['id']}/start")
        click.echo(f"The run {run['id']} has started. Ctrl-C does not stop it.", err=True)
        return await _until_ended(service, run)


def _spec(options: dict[str, Any]) -> dict[str, Any]:
    """The body of the API's request."""
    given = ("prompts", "budget_usd", "judge", "judge_method", "seed")
    spec = {name: options[name] for name in given if options[name] is not None}
    if options["panels"]:
        spec["panels"] = [n.strip() for n in options["panels"].split(",") if n.strip()]
    if options["no_race"]:
        spec["race"] = False
    if options["experts"]:
        spec["experts"] = [n.strip() for n in options["experts"].split(",") if n.strip()]
    if checker := options["checker"]:
        try:
            spec["checker"] = json.loads(checker) if checker[0] == "{" else {"name": checker}
        except ValueError as exc:
            raise click.UsageError(f"--checker is not valid JSON: {exc}") from exc
    if options["from_log"]:
        source = {"application": options["application"], "since": options["since"]}
        spec["from_log"] = {name: value for name, value in source.items() if value}
    elif options["application"] or options["since"]:
        raise click.UsageError("--application and --since are for --from-log")
    return spec


async def _status(run_id: str, *, wait: bool) -> Any:
    from collegium.cli.service_client import required_service

    async with required_service() as service:
        run = await service.call("GET", f"{RUNS}/{run_id}")
        return await _until_ended(service, run) if wait else run


async def _until_ended(service: ServiceClient, run: Any) -> Any:
    """Show a bar until the run has ended; to interrupt it leaves the run alone."""
    from collegium.cli.service_client import ServiceLost

    back = f"`collegium learn status {run['id']} --wait`"
    try:
        return await _with_bar(service, run)
    except asyncio.CancelledError:
        stop = f"`collegium learn cancel {run['id']}`"
        click.echo(
            f"The run goes on in the service: {back} returns to it, {stop} ends it.", err=True
        )
        raise
    except ServiceLost as exc:
        raise ServiceLost(
            f"{exc}. The run {run['id']} goes on when the service runs again: {back} returns to it"
        ) from exc


async def _with_bar(service: ServiceClient, run: Any) -> Any:
    from tqdm import tqdm

    with tqdm(desc="learning", unit="answer", mininterval=0, total=run["planned"]) as bar:
        while True:
            run = await service.call("GET", f"{RUNS}/{run['id']}")
            bar.n = run["answered"]
            bar.set_description(run["detail"] or run["status"], refresh=False)
            in_flight = run.get("reserved_usd", 0.0)  # what these answers may cost
            bar.set_postfix_str(dollars(run["spent_usd"] - in_flight), refresh=False)
            bar.refresh()
            if run["status"] in ENDED:
                return run
            await asyncio.sleep(LOOK_S)


def _show(run: Any, *, as_json: bool, html: Path | None) -> None:
    if html is not None and run["report"]:
        from collegium.cli.learn_page import write_page

        write_page(run, html)
    if as_json:
        return print_json(run)
    if run["report"]:
        show_report(run)
    else:
        because = f": {run['detail']}" if run["detail"] else ""
        click.echo(f"{run['id']} is {run['status']}{because}")
        click.echo(
            f"{run['answered']} of {run['planned']} answers, {dollars(run['spent_usd'])} spent"
        )
    if run["status"] == "failed":
        raise SystemExit(1)
