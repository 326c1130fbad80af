"""Executes started learning runs for as long as the service runs."""

from __future__ import annotations

import contextlib
import logging
import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from collegium.errors import CollegiumError
from collegium.registry.background import Repeating
from collegium.registry.learning.runs import RunRecord
from collegium.web.serving.parts import Parts

if TYPE_CHECKING:
    from collegium.web.learning.run import LearningRun

log = logging.getLogger(__name__)
LOOK_S = 1.0
HEARTBEAT_S = 10.0


class LearningWorker:
    """Works on one run at a time. Of several replicas the one that claims a run does it.

    A run that a killed process left is taken over when its lease ends: answers that were paid for
    are there, the rest is asked.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._name = secrets.token_hex(8)
        self._loop = Repeating(self._look, LOOK_S, name="learning", failing="learning waits")
        self._run: LearningRun | None = None

    def start(self) -> None:
        """Look for runs in the background."""
        self._loop.start()

    async def close(self) -> None:
        """Stop; the run resumes later. Answers in progress are awaited, as requests are."""
        if self._run is not None:
            parts = self._parts
            left_s = parts.draining.begin(parts.settings.drain_timeout_s)
            with contextlib.suppress(CollegiumError):
                await self._run.ended(left_s)
        await self._loop.close()
        with contextlib.suppress(CollegiumError):
            await self._parts.learning_runs.release(self._name)

    async def _look(self) -> None:
        while (record := await self._parts.learning_runs.claim(self._name)) is not None:
            await self._do(record)

    async def _do(self, record: RunRecord) -> None:
        # Most services never learn: what learns is loaded when there is a run.
        from collegium.web.learning.run import LearningRun, RunLost
        from collegium.web.learning.runs import fit_run

        log.info("learning run %s begins", record.id)
        beat = Repeating(  # answers and fits take their time
            lambda: self._parts.learning_runs.renew(record.id, self._name),
            HEARTBEAT_S,
            name="lease of a learning run",
            failing="the lease of a learning run can't be renewed",
        )
        beat.start()
        try:
            await self._parts.router.wait()
            self._run = LearningRun(self._parts, record, self._name)
            detail = await self._run.ask_all()
            self._run = None
            await fit_run(self._parts, record, detail)
        except RunLost:
            log.info("learning run %s was cancelled or taken over", record.id)
        except CollegiumError as exc:
            await self._failed(record.id, str(exc))
        except Exception:  # the outermost handler of a run: the next one goes on
            log.exception("learning run %s failed", record.id)
            await self._failed(record.id, "it failed unexpectedly; see the service's log")
        finally:
            self._run = None
            await beat.close()

    async def _failed(self, run_id: str, why: str) -> None:
        now = datetime.now(UTC)
        await self._parts.learning_runs.change(
            run_id, out_of=("running",), status="failed", finished_at=now, detail=why
        )
