"""`collegium router candidates|shadow|promote|rollback`: the router's versions and their roles."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from collegium.cli.numbers import FiniteRange
from collegium.cli.output import json_option, print_json, print_table
from collegium.cli.service_client import call

VERSIONS = "/v1/router/versions"


@click.command(epilog="Example: collegium router candidates")
@click.argument("version", required=False)
@json_option
def candidates(version: str | None, as_json: bool) -> None:
    """List fitted routers, or show one with its report."""
    if version is not None:
        found = asyncio.run(call("GET", f"{VERSIONS}/{version}"))
        return print_json(found) if as_json else _show(found)
    listed = asyncio.run(call("GET", VERSIONS))
    if as_json:
        return print_json(listed)
    rows = [
        (v["id"], v["status"], f"{v['share']:.0%}", ", ".join(v["applications"]) or "all",
         v["run_id"] or "-", v["created_at"][:16], v["detail"])
        for v in listed["data"]
    ]  # fmt: skip
    click.echo(f"Serving: {listed['serving']}")
    print_table(("VERSION", "STATUS", "SHARE", "APPLICATIONS", "RUN", "MADE", "NOTE"), rows)


@click.command(epilog="Example: collegium router shadow rtr_9c2e")
@click.argument("version")
@json_option
def shadow(version: str, as_json: bool) -> None:
    """Run a version in the shadow of the serving router, without effect."""
    found = asyncio.run(call("POST", f"{VERSIONS}/{version}/shadow"))
    print_json(found) if as_json else click.echo(f"{version} decides in the shadow.")


@click.command(epilog="Example: collegium router promote rtr_9c2e --share 0.1")
@click.argument("version")
@click.option(
    "--share", type=FiniteRange(0, 1, min_open=True), help="Of the traffic [default: all]."
)
@click.option("--application", "applications", multiple=True, help="Only this application.")
@click.option("--unconfirmed", is_flag=True, help="Even without confirmed marks.")
@click.option("--automatic", is_flag=True, help="1 %, then 10 % and all, while quality holds.")
@json_option
def promote(version: str, as_json: bool, **options: Any) -> None:
    """Use a version for all of the traffic, or a share of it. Replicas follow in seconds."""
    body = {**options, "applications": list(options["applications"])}
    found = asyncio.run(call("POST", f"{VERSIONS}/{version}/promote", body))
    if as_json:
        return print_json(found)
    whom = ", ".join(found["applications"]) or "all applications"
    click.echo(f"{version} decides {found['share']:.0%} of the traffic of {whom}.")


@click.command(epilog='Example: collegium router rollback --reason "more regenerations"')
@click.option("--reason", default="", help="Stored with the version.")
@json_option
def rollback(reason: str, as_json: bool) -> None:
    """End a trial, or return to the previous router."""
    found = asyncio.run(call("POST", "/v1/router/rollback", {"reason": reason}))
    if as_json:
        return print_json(found)
    click.echo(f"{found['rolled_back']['id']} is rolled back; {found['serving']} serves.")


def show_evaluation(version: str, *, as_json: bool) -> None:
    """Ask the service what a version's choices would have been rated, and show it."""
    found = asyncio.run(call("POST", f"{VERSIONS}/{version}/evaluate"))
    if as_json:
        return print_json(found)
    rows = [
        (name.replace("_", " "), f"{e['value']:.3f}", f"[{e['low']:.3f}, {e['high']:.3f}]")
        for name in ("self_normalised", "doubly_robust")
        for e in (found[name],)
    ]
    print_table(("ESTIMATE", "SCORE", "95 %"), [
        ("served", f"{found['serving_score']:.3f}", ""), *rows,
    ])  # fmt: skip
    click.echo(
        f"\n{found['rated']} rated decisions, worth {found['effective']:.0f} of its own; the same "
        f"choice on {found['same_choices']:.0%}; {found['explored']:.0%} drawn at random."
    )
    if found["usd_per_1k"] is not None:
        usual, now = found["serving_usd_per_1k"], found["usd_per_1k"]
        click.echo(f"Forecast cost of 1,000 requests: ${now:.4f}, served: ${usual:.4f}.")
    if shadow := found["shadow"]:
        click.echo(
            f"In the shadow of {shadow['decisions']} decisions it chose the same expert on "
            f"{shadow['same_choices']:.0%}."
        )


def _show(version: Any) -> None:
    from collegium.cli.learn_report import show_report

    click.echo(f"{version['id']} is {version['status']}, made {version['created_at'][:16]}.")
    if version["report"]:
        show_report({"report": version["report"], "router": None})
