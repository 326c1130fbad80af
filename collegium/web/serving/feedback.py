"""Ratings of answers: checked, stored, and passed to online learning."""

from __future__ import annotations

import hashlib
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from collegium.errors import BadRequest, CollegiumError, UnknownDecision, UnknownPreferred
from collegium.registry.decisions.log import (
    DecisionLog,
    FeedbackRecord,
    LoggedDecision,
    Source,
    Verdict,
)
from collegium.registry.decisions.selection import Selection
from collegium.registry.key import Names
from collegium.registry.storage.pages import Scope
from collegium.web.serving.catalogue import Catalogue
from collegium.web.serving.learning import Learning
from collegium.web.serving.recording import Recorder

MOST_OF_SESSION = 1000
"""The latest decisions of a session that one rating reaches."""
MOST_RATINGS = 20
"""Ratings of one decision, all of which are read with it."""
MOST_REACHED = 10_000
"""Decisions that the ratings of sessions reach, of all that are sent at once."""


class Feedback(BaseModel):
    """A rating of an answer or of a conversation."""

    model_config = ConfigDict(extra="forbid")

    id: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    """The sender's own id: a rating that is sent twice counts once."""
    decision_id: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    session: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    scope: Literal["latest", "session"] = "latest"
    """For a session: its latest answer, or all of them."""
    verdict: Verdict | None = None
    score: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    source: Source | None = None
    comment: Annotated[str, Field(max_length=2000)] | None = None
    preferred: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """The expert whose answer was better than the given one."""

    @property
    def kind(self) -> Source:
        """Return the source of the rating if it isn't given."""
        silent = self.verdict is None and self.score is None
        return self.source or ("preferred" if self.preferred and silent else "rating")

    def check(self) -> None:
        """Raise BadRequest if fields contradict each other."""
        if (self.decision_id is None) == (self.session is None):
            raise BadRequest("Name either a decision_id or a session", "decision_id")
        if self.scope == "session" and self.session is None:
            raise BadRequest("scope 'session' needs a session", "scope")
        if self.verdict is not None and self.score is not None:
            raise BadRequest("A verdict implies its score: give one of them", "score")
        if self.kind == "rating" and self.verdict is None and self.score is None:
            raise BadRequest("A rating needs a verdict or a score", "verdict")
        if self.kind == "preferred" and self.preferred is None:
            raise BadRequest("Name the preferred expert", "preferred")


@dataclass(frozen=True)
class Sender:
    """The author of a rating."""

    owner: str
    source: str
    """Online learning limits the influence of each source: the key, or without keys the client's
    address. "" for the setting `api_key`, whose ratings count in full."""
    everything: bool = False
    """Whether it may rate others' decisions, as the operator."""
    allowed_experts: Names | None = None
    """The experts that it may ask; None for all."""

    @property
    def scope(self) -> Scope:
        """The owners whose decisions it may rate."""
        return None if self.everything else frozenset({self.owner})


Said = Sequence[FeedbackRecord] | CollegiumError
"""The result of one rating."""


@dataclass(frozen=True)
class FeedbackService:
    """Checks and stores ratings, a few hundred at once."""

    log: DecisionLog
    recorder: Recorder
    learning: Learning
    catalogue: Catalogue
    stored: Counter[str] = field(default_factory=Counter)
    """By decision: the ratings of the lines that are taken together, so far."""
    reached: Counter[str] = field(default_factory=Counter)
    """The decisions that its ratings of each session have reached."""

    async def take(
        self, given: Sequence[tuple[Feedback, str | None]], sender: Sender
    ) -> list[Said]:
        """Store ratings, each with its idempotency key; return the results in the same order."""
        self.stored.clear()
        named = {each.decision_id for each, _ in given if each.decision_id is not None}
        sessions = {each.session for each, _ in given if each.session is not None}
        known = await self.log.get_all(named, scope=sender.scope)
        latest = await self.log.latest_of_sessions(sender.owner, list(sessions))
        ids = [None if key is None else _id(sender.owner, key) for _, key in given]
        before = await self.log.feedback_given([each for each in ids if each is not None])
        found: list[Said] = []
        for (feedback, _), feedback_id in zip(given, ids, strict=True):
            if feedback_id is not None and feedback_id in before:
                found.append((before[feedback_id],))
                continue
            try:
                said = await self._one(feedback, feedback_id, sender, known, latest)
            except BadRequest as exc:
                found.append(exc)
            else:
                found.append(said)
                if feedback_id is not None:
                    before[feedback_id] = said[0]
        return found

    async def _one(
        self,
        feedback: Feedback,
        feedback_id: str | None,
        sender: Sender,
        known: Mapping[str, LoggedDecision],
        latest: Mapping[str, LoggedDecision],
    ) -> Sequence[FeedbackRecord]:
        feedback.check()
        decisions = self._open(await self._meant(feedback, sender, known, latest))
        if feedback.preferred is not None:
            await self._check_preferred(feedback.preferred, decisions, sender)
        comment = feedback.comment and await self.recorder.text(feedback.comment)
        first = FeedbackRecord(
            id=feedback_id or f"fb_{secrets.token_hex(12)}",
            decision_id=decisions[0].decision.id,
            verdict=feedback.verdict,
            comment=comment,
            preferred=feedback.preferred,
            owner=sender.owner,
            source=feedback.kind,
            score=feedback.score,
        )
        records = [
            replace(first, id=first.id if place == 0 else f"{first.id}_{place}", decision_id=each)
            for place, each in enumerate(each.decision.id for each in decisions)
        ]
        for record in reversed(records):  # the first one says that all are there
            await self.log.feedback(record)
            self.stored[record.decision_id] += 1
            if record.score is not None:
                # Not capped by session: anybody can make up another one.
                await self.learning.rate(record.decision_id, record.score, sender.source)
        return records

    async def _meant(
        self,
        feedback: Feedback,
        sender: Sender,
        known: Mapping[str, LoggedDecision],
        latest: Mapping[str, LoggedDecision],
    ) -> Sequence[LoggedDecision]:
        """The decisions that a rating is of, the latest first: `known` by id, `latest` by
        session.
        """
        if feedback.decision_id is not None:
            if feedback.decision_id not in known:
                message = f"no decision has the id '{feedback.decision_id}'"
                raise UnknownDecision(message, "decision_id")
            return [known[feedback.decision_id]]
        name = str(feedback.session)
        if self.reached.total() >= MOST_REACHED:
            raise BadRequest("Rate fewer sessions at once", "session")
        if name not in latest:
            raise UnknownDecision(f"the session '{name}' has no decisions", "session")
        found: Sequence[LoggedDecision] = [latest[name]]
        if feedback.scope == "session":
            session = Selection(owner=sender.owner, session=name)
            found = (await self.log.list(session, limit=MOST_OF_SESSION)).items
        self.reached[name] += len(found)
        return found

    def _open(self, decisions: Sequence[LoggedDecision]) -> Sequence[LoggedDecision]:
        """The decisions that may be rated once more; BadRequest if there is none."""
        found = [
            each
            for each in decisions
            if len(each.feedback) + self.stored[each.decision.id] < MOST_RATINGS
        ]
        if not found:
            raise BadRequest(f"The answer has {MOST_RATINGS} ratings already", "decision_id")
        return found

    async def _check_preferred(
        self, name: str, decisions: Sequence[LoggedDecision], sender: Sender
    ) -> None:
        allowed = sender.allowed_experts
        known = {expert.name for expert in await self.catalogue.now()}
        if name in (known if allowed is None else known & allowed):
            return
        if all(name in _took_part(each) for each in decisions):
            return
        raise UnknownPreferred(
            f"'{name}' took no part in the answer and is not registered: "
            "`preferred` must name an expert that `GET /v1/models` lists",
            "preferred",
        )


def _took_part(logged: LoggedDecision) -> set[str]:
    """Return the experts that were asked for an answer."""
    outcome = logged.outcome
    rows = [] if outcome is None else [*(outcome.tried or ()), *(outcome.calls or ())]
    return {logged.decision.expert, logged.answered_by, *(str(row["expert"]) for row in rows)}


def _id(owner: str, key: str) -> str:
    """Return the same id for the same idempotency key of one owner."""
    digest = hashlib.sha256(f"{owner}\0{key}".encode("utf-8", "replace"))
    return f"fb_{digest.hexdigest()[:24]}"
