"""Results of the online learning simulation over several seeds, as text and JSON."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from collegium.evals.core.arrays import Floats
from collegium.evals.core.pages import Card, Page, Part, Table
from collegium.evals.core.provenance import Provenance
from collegium.evals.core.svg import ACCENT, INK, LINE, MUTED, PLAIN, drawing, inline_svg, panels
from collegium.evals.studies.online.poison import Movement
from collegium.evals.studies.online.study import POLICIES, Candidate, Promise, Simulation
from collegium.evals.studies.online.world import World

POINTS = 120
"""Points of a curve in a report."""
PHASES = ("as recorded", "the most asked expert degrades", "well again, but dearer")
NAMES = {
    "static": "static router",
    "bandit": "bandit",
    "conservative": "conservative bandit",
    "told": "static router that is told",
}


@dataclass(frozen=True)
class OnlineReport:
    """One set's simulations; all regrets are rewards lost against the router that is told."""

    data: str
    models: int
    steps: int
    victim: str
    seeds: int
    regret: dict[str, list[float]]
    """By policy: the mean regret of each phase."""
    curves: dict[str, list[float]]
    """By policy: the mean cumulative regret at `POINTS` steps."""
    promises: tuple[Promise, ...]
    candidates: tuple[Candidate, ...]
    movements: tuple[Movement, ...]

    @property
    def promises_kept(self) -> bool:
        """Whether no window of any seed lost more than was promised."""
        return all(promise.kept for promise in self.promises)

    @property
    def largest_movement(self) -> float:
        """The farthest that a lie moved a share against our bounds, in points."""
        return max(movement.defended for movement in self.movements)

    def to_dict(self) -> dict[str, object]:
        """All of it, for JSON."""
        return {
            **asdict(self),
            "promises_kept": self.promises_kept,
            "largest_movement": self.largest_movement,
        }


def summed_up(
    world: World, simulations: Sequence[Simulation], movements: tuple[Movement, ...]
) -> OnlineReport:
    """Average the seeds; candidates are those of the first."""
    curves = {name: np.mean([s.regret(name) for s in simulations], axis=0) for name in POLICIES}
    shown = np.linspace(0, world.steps - 1, min(POINTS, world.steps)).astype(int)
    return OnlineReport(
        world.name,
        len(world.models),
        world.steps,
        world.models[world.victim],
        len(simulations),
        {name: _by_phase(world, curve) for name, curve in curves.items()},
        {name: curve[shown].tolist() for name, curve in curves.items()},
        tuple(simulation.promise for simulation in simulations),
        simulations[0].candidates,
        movements,
    )


def _by_phase(world: World, curve: Floats) -> list[float]:
    phases = np.array([world.phase(step) for step in range(world.steps)])
    ends = [curve[np.flatnonzero(phases == phase)[-1]] for phase in range(len(PHASES))]
    lost: list[float] = np.diff(ends, prepend=0.0).tolist()
    return lost


def tables(report: OnlineReport) -> dict[str, list[list[str]]]:
    """Tables by title, the first row of each its head."""
    return {
        "Regret": [
            ["policy", *PHASES],
            *([NAMES[n], *(f"{v:.1f}" for v in report.regret[n])] for n in POLICIES),
        ],
        "Conservative exploration": [
            ["seed", "worst window", "allowed", "kept"],
            *(
                [str(i), f"{p.worst:.2f}", f"{p.purse + 1:.2f}", "yes" if p.kept else "NO"]
                for i, p in enumerate(report.promises)
            ),
        ],
        "Off-policy estimates": [
            ["candidate", "truth", "IPS", "SNIPS", "DR"],
            *(
                [
                    candidate.name,
                    f"{candidate.truth:.3f}",
                    *(
                        f"{e.value:.3f} [{e.low:.3f}, {e.high:.3f}]"
                        for e in candidate.estimates.values()
                    ),
                ]
                for candidate in report.candidates
            ),
        ],
        "False ratings": [
            ["lie", "for or against", "points moved", "without bounds"],
            *(
                [m.lie, m.target, f"{m.defended:.1f}", f"{m.undefended:.1f}"]
                for m in report.movements
            ),
        ],
    }


def html_page(reports: Iterable[OnlineReport], made: Provenance) -> str:
    """Return the whole page."""
    parts = []
    for number, report in enumerate(reports):
        drawn = Card("Regret as things change", figures=[regret_curves(report, number)])
        cards = [Card(title, tables=[Table.of(rows)]) for title, rows in tables(report).items()]
        parts.append(Part(report.data, verdict(report), cards=[drawn, *cards]))
    intro = [f"{made.command}, {made.date[:10]}."]
    return Page("Collegium: learning online", "Does it learn without harm?", intro, parts).html()


def verdict(report: OnlineReport) -> str:
    """In words."""
    static, bandit = (sum(report.regret[name]) for name in ("static", "bandit"))
    kept = "kept its promise in every window" if report.promises_kept else "BROKE ITS PROMISE"
    return (
        f"While '{report.victim}' degrades, recovers and gets dearer, the bandit loses "
        f"{bandit:.0f} right answers of {report.steps} queries against a router that is told, "
        f"the static one {static:.0f}. The conservative bandit {kept}. 5 % false ratings moved no "
        f"share by more than {report.largest_movement:.1f} points."
    )


def regret_curves(report: OnlineReport, number: int) -> str:
    """Draw cumulative regret by policy, with a line where a phase ends."""
    colours = {"static": PLAIN, "bandit": ACCENT, "conservative": INK}
    name = f"regret{number}"
    with drawing(name):
        plot, (axis,) = panels(1, 1, height=3.4)
        for policy, colour in colours.items():
            curve = report.curves[policy]
            at = np.linspace(0, report.steps, len(curve))
            axis.plot(at, curve, color=colour, linewidth=1.6, label=NAMES[policy])
        for phase in (1, 2):
            axis.axvline(phase * report.steps / 3, color=LINE, linewidth=1)
        for phase, words in enumerate(PHASES):
            middle = (phase + 0.5) * report.steps / 3
            axis.text(middle, 1.0, words, ha="center", va="bottom", size=8, color=MUTED,
                      transform=axis.get_xaxis_transform())  # fmt: skip
        axis.set_xlabel("queries")
        axis.set_ylabel("right answers lost")
        axis.legend(frameon=False, loc="upper left", labelcolor=INK)
        return inline_svg(plot, name, "Cumulative regret of three policies as an expert changes")
