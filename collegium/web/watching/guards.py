"""Guard a router on trial: roll it back if it is worse, extend its share if it isn't."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from collegium.registry.learning.alarms import Alarm
from collegium.registry.learning.guarding import Became, Guarding
from collegium.registry.learning.router_versions import RouterVersion
from collegium.router.learning.sequences import Sums, surely_above
from collegium.web.learning.promotion import STEPS
from collegium.web.serving.parts import Parts

log = logging.getLogger(__name__)
ALPHA = 0.05
"""The probability that any guard rolls back a version that is not worse, however often it looks."""
STEP = 200
"""Requests that a version decides at one share before it moves on to the next."""
MOST_DEARER = 0.25
"""The part by which a request may cost more on average."""


@dataclass(frozen=True)
class Guard:
    """A number that must not rise by more than a margin."""

    name: str
    tried: Sums
    serving: Sums
    margin: float

    @property
    def breached(self) -> bool:
        """Whether it surely did, among all guards at all times."""
        return surely_above(self.tried, self.serving, ALPHA / GUARDS) > self.margin

    def words(self) -> str:
        """Describe what was observed."""
        return f"{self.name}: {self.tried.mean:.4g} instead of {self.serving.mean:.4g}"


GUARDS = 4


def guards(tried: Became, serving: Became) -> tuple[Guard, ...]:
    """Return all guards of a version against the serving one."""
    return (
        Guard("share of failed answers", _errors(tried), _errors(serving), 0.02),
        Guard("share of answers that people turned from", _turned(tried), _turned(serving), 0.03),
        Guard("rated below the best by", _missing(tried), _missing(serving), 0.03),
        Guard(
            "dollars a request",
            _usd(tried),
            _usd(serving),
            MOST_DEARER * _usd(serving).mean,
        ),
    )


async def guard_canary(parts: Parts) -> None:
    """Look at the version that is tried, if there is one: the leading replica does."""
    versions = {v.status: v for v in await parts.router_versions.list(active=True)}
    canary = versions.get("canary")
    if canary is None or parts.router.waits_for() is not None:
        return
    log_of, since = Guarding(parts.database), canary.changed_at
    tried = await log_of.became(canary.id, since, canary.applications)
    serving = await log_of.became(parts.router.get().version, since, canary.applications)
    breaches = [guard.words() for guard in guards(tried, serving) if guard.breached]
    if breaches:
        await _roll_back(parts, canary, "; ".join(breaches), tried)
    elif canary.automatic and tried.decisions >= STEP and canary.share < 1:
        await _go_on(parts, canary)


async def _roll_back(parts: Parts, canary: RouterVersion, words: str, tried: Became) -> None:
    detail = f"rolled back after {tried.decisions} requests at {canary.share:.0%}: {words}"
    await parts.router_versions.become(canary.id, "rolled_back", detail=detail)
    alarm = Alarm(
        "canary",
        f"router {canary.id} was {detail}. What served before decides all requests; see "
        f"`collegium router candidates {canary.id}`",
        router=canary.id,
        evidence={"breaches": words, "requests": tried.decisions, "share": canary.share},
    )
    await parts.alarms.raise_(alarm)


async def _go_on(parts: Parts, canary: RouterVersion) -> None:
    """Move on to the next share, and finally to all traffic."""
    share = next(step for step in STEPS if step > canary.share)
    whole = share >= 1 and not canary.applications
    await parts.router_versions.become(
        canary.id,
        "serving" if whole else "canary",
        share=share,
        applications=canary.applications,
        automatic=True,
        detail=f"no guard was breached in {STEP} requests at {canary.share:.0%}",
    )
    log.info("router version %s decides %.0f %% of its traffic now", canary.id, 100 * share)


def _errors(found: Became) -> Sums:
    return Sums.of_rate(found.errors, found.decisions)


def _turned(found: Became) -> Sums:
    return Sums.of_rate(found.turned, found.decisions)


def _missing(found: Became) -> Sums:
    """Return the distance to a score of 1."""
    count, total = found.scores, found.score
    return Sums(count, count - total, count - 2 * total + found.score_squares)


def _usd(found: Became) -> Sums:
    return Sums(found.priced, found.usd, found.usd_squares)
