"""Learn from the log periodically, and promote the result if that is safe."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

from collegium.errors import BadRequest, CollegiumError
from collegium.registry.learning.alarms import Alarm
from collegium.registry.learning.runs import ENDED, RunRecord
from collegium.router.virtual_models import VIRTUAL_MODELS
from collegium.web.learning.from_log import logged_prompts
from collegium.web.learning.promotion import promote_version
from collegium.web.learning.runs import propose_run, start_run
from collegium.web.learning.spec import FromLog, LearnSpec
from collegium.web.serving.parts import Parts

log = logging.getLogger(__name__)
OWNER = "schedule"
"""The owner of runs that the service starts itself."""
AS_BEFORE = ("experts", "checker", "judge", "judge_method", "prompts", "race")
"""Options that such a run copies from the latest run that a person started."""
FEWEST = 50
"""Recorded requests before the first run."""
LOOK = timedelta(seconds=10)
TRY_AGAIN = timedelta(minutes=10)
"""After a run could not be proposed."""


class Schedule:
    """Proposes and starts a run when it is time, and sees to what the latest one has fitted."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        hours, self._budget = parts.settings.learn_every, parts.settings.learn_budget_usd
        self._every = None if hours is None else timedelta(hours=hours)
        self._not_before = datetime.min.replace(tzinfo=UTC)

    async def look(self) -> None:
        """Do what is due, if anything is; nothing without the setting `learn_every`."""
        now = datetime.now(UTC)
        if self._every is None or now < self._not_before:
            return
        self._not_before = now + LOOK
        runs = await self._parts.learning_runs.list()
        latest = next((run for run in runs if run.owner == OWNER), None)
        if latest is not None and latest.status in ENDED:
            await self._see_to(latest)
        running = any(run.status == "running" for run in runs)
        if not running and (latest is None or now >= latest.created_at + self._every):
            await self._begin(next((run for run in runs if run.owner != OWNER), None))

    async def _begin(self, before: RunRecord | None) -> None:
        """Start a run on the log, asked for as the latest one of a person was."""
        taken = {} if before is None else {n: before.spec.get(n) for n in AS_BEFORE}
        spec = LearnSpec.model_validate(
            {name: value for name, value in taken.items() if value is not None}
            | {"from_log": FromLog(), "budget_usd": self._budget}
        )
        try:
            allowed = self._parts.settings.budget_fields
            found = await logged_prompts(self._parts.log, FromLog(), allowed)
            if len(found) < FEWEST:
                raise BadRequest(f"{len(found)} requests are recorded", "from_log")
            run = await propose_run(self._parts, spec, found, OWNER)
            await start_run(self._parts, run.id)
            log.info("learning run %s was started by the schedule", run.id)
        except CollegiumError as exc:
            self._not_before = datetime.now(UTC) + TRY_AGAIN
            if isinstance(exc, BadRequest) and exc.param == "from_log":
                return log.info("too little is recorded to learn from: %s", exc)
            words = f"the scheduled learning run can't start: {exc}"
            await self._parts.alarms.raise_(Alarm("needs_a_person", words))

    async def _see_to(self, run: RunRecord) -> None:
        """Promote what the run has fitted, or say what a person has to do; once."""
        told = await self._parts.alarms.list()
        if any(alarm.evidence.get("run") == run.id for alarm in told):
            return
        if run.status != "finished" or run.router is None:
            if run.status == "failed":
                await self._ask(run, f"failed: {run.detail}. See `collegium learn status {run.id}`")
            return
        version = await self._parts.router_versions.get(run.router)
        if version.status != "candidate":
            return
        if (why_not := objection(version.report or {}, run.id, version.id)) is not None:
            return await self._ask(run, why_not)
        active = await self._parts.router_versions.list(active=True)
        if not any(v.status in ("canary", "shadow") for v in active):
            await promote_version(self._parts, version.id, automatic=True)
            log.info("router version %s is tried: learning run %s is good", version.id, run.id)

    async def _ask(self, run: RunRecord, words: str) -> None:
        alarm = Alarm(
            "needs_a_person",
            f"the scheduled learning run {run.id} {words}",
            router=run.router,
            evidence={"run": run.id},
        )
        await self._parts.alarms.raise_(alarm)


def objection(report: dict[str, Any] | Any, run_id: str, version_id: str) -> str | None:
    """Return why a person has to decide on a version, and how; None if its report is sufficient."""
    if not report.get("confirmed"):
        return (
            "has too few confirmed marks, so what its router would lose is unknown: confirm "
            f"more with `collegium learn confirm {run_id}`, then `collegium learn fit {run_id}` "
            f"and `collegium router promote`"
        )
    balanced = report["policies"]["balanced"]
    most = 100 * VIRTUAL_MODELS["collegium/balanced"].most_loss
    if balanced["loss_points"] > most:
        return (
            f"has fitted a router that loses {balanced['loss_points']:g} points where "
            f"`collegium/balanced` promises {most:g}: look at `collegium router candidates "
            f"{version_id}`, and learn from more prompts or promote it yourself"
        )
    return None
