"""Show a learning run's estimate and report in the terminal."""

from __future__ import annotations

from typing import Any

import click

from collegium.cli.output import dollars, print_table, warn

SHOWN_APPLICATIONS = 12


def show_estimate(run: Any) -> None:
    """Show the questions and cost of a run, and the expected margin of error."""
    told = run["estimate"]
    count = len(told["applications"])
    click.echo(
        f"{told['prompts']} of {told['prompts_given']} prompts in {count} "
        f"application{'s' if count != 1 else ''}; {told['answers']} answers, "
        f"{told['answers_reused']} of which are there already.",
        err=True,
    )
    click.echo(
        f"Cost: about {dollars(told['usd'])}, at most about {dollars(told['most_usd'])}. "
        f"Margin to expect: ±{told['margin_points']:g} points of quality.",
        err=True,
    )
    if ratings := told.get("ratings"):
        click.echo(
            f"People rated {ratings} of these answers: the ratings are their marks.", err=True
        )
    if told["unknown_prices"]:
        warn(f"the prices of {', '.join(told['unknown_prices'])} are unknown and not counted.")
    if left := told["prompts_without_expert"]:
        warn(f"{left} prompts are left out: the rules of their applications exclude every expert.")


def show_report(run: Any) -> None:
    """The report: the headline, the policies, experts and applications, and what to do next."""
    report = run["report"]
    click.echo(headline(report) + "\n")
    policies = [
        (name, _percent(p["saved"]), _interval(p["saved_interval"]), points(p), money(p))
        for name, p in report["policies"].items()
    ]
    print_table(("POLICY", "SAVED", "95 %", "AGAINST BEST", "$/1K"), policies)
    click.echo()
    experts = [
        (e["expert"], e["marks"], f"{e['quality']:.3f}", measured(e), money(e))
        for e in report["experts"]
    ]
    print_table(("EXPERT", "MARKS", "QUALITY", "MEASURED, 95 %", "$/1K"), experts)
    click.echo()
    rows = [
        (a["application"] or "(none)", a["prompts"], a["mostly_sent_to"], a["best_expert"],
         _percent(a["saved"]), points(a))
        for a in report["applications"][:SHOWN_APPLICATIONS]
    ]  # fmt: skip
    header = ("APPLICATION", "PROMPTS", "MOSTLY SENT TO", "BEST EXPERT", "SAVED", "AGAINST BEST")
    print_table(header, rows)
    if (more := len(report["applications"]) - SHOWN_APPLICATIONS) > 0:
        click.echo(f"… and {more} more applications (--json has all)")
    click.echo()
    _show_limits(report)
    if run.get("detail"):
        warn(f"{run['detail']}.")
    for warning in report["warnings"]:
        warn(warning)
    if run["router"]:
        click.echo(f"\nTo switch: collegium router promote {run['router']}")


def headline(report: Any) -> str:
    """The report in a sentence or two."""
    balanced = report["policies"]["balanced"]
    best, loss = report["best_single"], balanced["loss_points"]
    if not report["confirmed"]:
        return (
            f"{report['prompts']} prompts. Too few marks are confirmed, so no saving is promised; "
            f"at face value `balanced` would cost {_percent(balanced['saved'])} less than {best}."
        )
    step = report["more"][-1]
    more = (
        f"{step['prompts']:.0f} more prompts would narrow it to ±{step['margin_points']:.1f} and "
        f"cost {dollars(step['usd'])}"
    )
    if balanced["saved"] is None:
        return (
            f"{report['prompts']} prompts: {best} costs nothing, so there is no money to save; "
            f"`auto` is {points(report['policies']['auto'])} points against it; {more}."
        )
    if not balanced["saved"]:
        hindsight = report["saving_at_one_point"]
        if not hindsight["saved"]:
            return (
                f"{report['prompts']} prompts show no saving at one point of loss, not even in "
                f"hindsight: `balanced` stays with {best}."
            )
        return (
            f"{report['prompts']} prompts do not support a saving at one point of loss: `balanced` "
            f"stays with {best}. In hindsight a trade-off saves {_percent(hindsight['saved'])} at "
            f"{points(hindsight)} points; {more}."
        )
    where = "below" if loss >= 0 else "above"
    return (
        f"{report['prompts']} prompts: {_percent(balanced['saved'])} less money "
        f"{_interval(balanced['saved_interval'])} at an expected quality {abs(loss):.1f} points "
        f"{where} {best}'s, margin ±{balanced['margin_points']:.1f} points; {more}."
    )


def _show_limits(report: Any) -> None:
    best = next(e for e in report["experts"] if e["expert"] == report["best_single"])
    click.echo(
        f"Best single expert: {report['best_single']}, {best['quality']:.3f}. A mixture of two "
        f"experts at balanced's price: {report['random_at_equal_cost']:.3f}. The best answer to "
        f"each prompt: {report['ceiling']:.3f}, which no router can exceed."
    )
    for panel in report["panels"][:3]:
        gain = panel["gain_points"]
        click.echo(
            f"Panel {panel['mode']} of {', '.join(panel['members'])}: {gain:+.1f} points at "
            f"{money(panel)} per 1,000 prompts, best in {panel['application'] or 'all traffic'}."
        )
    for source, told in report["sources"].items():
        if "sensitivity" in told:
            click.echo(
                f"Marks by {source}: {told['marks']}; checked on {told['confirmed']} confirmed "
                f"ones, it finds {told['sensitivity']:.0%} of right answers right and "
                f"{told['specificity']:.0%} of wrong ones wrong."
            )


def _percent(share: float | None) -> str:
    return "unknown" if share is None else f"{share:.0%}"


def _interval(pair: list[float] | None) -> str:
    return "" if pair is None else f"[{100 * pair[0]:.0f}, {100 * pair[1]:.0f}]"


def points(row: Any) -> str:
    """Points of quality against the best single expert, with the margin."""
    gained = round(-row["loss_points"], 1) or 0.0  # not -0.0
    return f"{gained:+.1f} ± {row['margin_points']:.1f}"


def measured(expert: Any) -> str:
    """The interval of an expert's quality by a judge's and confirmed marks; "-" without them."""
    found = expert.get("measured")
    return "-" if not found else f"{found['quality']:.3f} [{found['low']:.3f}, {found['high']:.3f}]"


def money(row: Any) -> str:
    """Dollars per thousand prompts."""
    return "unknown" if row["usd_per_1k"] is None else dollars(row["usd_per_1k"])
