"""All errors of Collegium, with the HTTP status of the response.

CollegiumError                500
├── SetupError                500  something on this machine is missing or broken
│   ├── SettingsError              a setting is wrong
│   ├── DatabaseUnavailable   503  the database can't be reached or used
│   ├── ExtraMissing          501  an optional part of the installation is missing
│   └── PeerFailed            500  another project's router, run beside ours, gave no answer
├── BadRequest                400  the request is invalid
│   ├── Unauthorized          401
│   ├── Forbidden             403
│   ├── TooManyWrongKeys      429  an address has sent too many wrong keys
│   ├── UnknownModel          404
│   ├── UnknownDecision       404
│   ├── UnknownResponse       404  no response or item with this id is stored
│   ├── UnknownPreferred      422  feedback prefers an unknown expert
│   ├── UnknownFile           404
│   ├── UnknownBatch          404
│   ├── UnknownAlarm          404
│   ├── BatchEnded            409  the job has already ended
│   ├── UnknownLearningRun    404
│   ├── LearningRefused       409  wrong state, or insufficient evidence
│   ├── UnknownRouterVersion  404
│   ├── PromptTooLong         400
│   ├── NoFeasibleExpert      422  no expert satisfies the limits
│   ├── BudgetSpent           422  a panel has reached its cost limit
│   ├── BudgetExhausted       422  a bulk job has spent its budget
│   └── LimitReached          429  a key, team or application has reached a limit
│       └── BudgetReached     402  its budget is spent
├── RegistryError             400  a change of the registry is invalid
│   ├── ExpertExists          409
│   ├── ExpertNotFound        404
│   ├── EngineNotFound        404
│   ├── ApplicationNotFound   404
│   ├── KeyNotFound           404
│   ├── KeyConflict           409  a key of this name exists, or was revoked
│   ├── TeamNotFound          404
│   ├── TeamConflict          409  a team of this name exists, or has keys
│   └── ProbeFailed           422  the expert did not answer its probe
├── LeaseLost                 503  another replica has taken over this one's work
├── StateUnavailable          503  the shared state (Redis) can't be reached
├── ShuttingDown              503  the service is shutting down
├── ArtifactRejected          500  a saved router is corrupt or incompatible
├── KernelMisuse              500  a kernel got invalid shapes, ids or options
│   └── PolicyRefused              the token policy is unsafe for several tenants
└── ExpertError               502  an expert failed
    ├── ExpertUnavailable     503  down, starting or refusing connections
    ├── ExpertMisconfigured   502  its provider rejects this service's key or account
    │   └── ModelGone                  its provider no longer has the model
    ├── ExpertBusy            429  its queue is full, or too long for the deadline
    │   └── RateLimited            its provider's rate limit is reached
    ├── ExpertTimeout         504
    ├── QuorumMissed          502  too few panel members answered
    └── ExpertRejected        4xx  the expert refused this request
        ├── CapabilityMissing 4xx  it lacks a capability that the request needs
        └── ContentRefused    4xx  its provider's content policy refused the request
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

LONGEST_DETAIL = 1000


class CollegiumError(Exception):
    """Base of all errors; `code` is stable for programs, the text is for people.

    API responses contain `public`. `detail` is only for the operator: addresses, paths and
    upstream messages.
    """

    http_status = 500
    code = "internal_error"
    retry_after_s: int | None = None
    detail = ""
    others = ""
    """The other experts that were asked, and why they failed; appended to `public`."""

    @property
    def public(self) -> str:
        """The text for API responses."""
        return f"{self}{self.others}"

    @property
    def whole(self) -> str:
        """The text for the operator and the log."""
        detail = " ".join(self.detail.split())[:LONGEST_DETAIL]  # one line, whatever was sent
        return f"{self}: {detail}" if detail else str(self)

    @property
    def bare(self) -> str:
        """What the log is told where it may hold nobody's words: the kind and the status."""
        return f"{self.code} ({self.http_status})"


class SetupError(CollegiumError):
    """Something on this machine is missing or broken."""

    code = "setup_error"


class SettingsError(SetupError):
    """A setting has an invalid value."""

    code = "settings_error"


class DatabaseUnavailable(SetupError):
    """The database can't be reached or used."""

    http_status = 503
    code = "database_unavailable"
    retry_after_s = 5

    @property
    def public(self) -> str:
        """The text for API responses, without the database's address."""
        return "The database is unavailable; try again later"


class ExtraMissing(SetupError):
    """An optional part of the installation is missing, or lacks a file."""

    http_status = 501
    code = "extra_missing"

    def __init__(self, what: str, packages: Sequence[str], command: str) -> None:
        super().__init__(
            f"{what} needs packages that are not installed ({', '.join(packages)}): "
            f"{command} (in a checkout: make setup)"
        )


class PeerFailed(SetupError):
    """Another project's router, run for comparison, returned no answer."""

    code = "peer_failed"

    def __init__(self, peer: str, why: str) -> None:
        super().__init__(f"the peer {peer} gave no answer: {why}")
        self.peer = peer


class BadRequest(CollegiumError):
    """The request is invalid; the caller can fix it."""

    http_status = 400
    code = "invalid_request"

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class Unauthorized(BadRequest):
    """The API key is missing or wrong."""

    http_status = 401
    code = "invalid_api_key"


class Forbidden(BadRequest):
    """The API key is valid, but lacks the permission."""

    http_status = 403
    code = "forbidden"


class TooManyWrongKeys(BadRequest):
    """An address has sent too many wrong keys."""

    http_status = 429
    code = "too_many_wrong_keys"
    retry_after_s = 60


class UnknownModel(BadRequest):
    """No expert and no virtual model has this name."""

    http_status = 404
    code = "model_not_found"


class UnknownDecision(BadRequest):
    """No decision has this id."""

    http_status = 404
    code = "decision_not_found"


class UnknownResponse(BadRequest):
    """No response with this id is stored."""

    http_status = 404
    code = "response_not_found"


class UnknownPreferred(BadRequest):
    """Feedback prefers an expert that took no part and is not registered."""

    http_status = 422
    code = "unknown_preferred"


class UnknownFile(BadRequest):
    """No uploaded or written file has this id."""

    http_status = 404
    code = "file_not_found"


class UnknownBatch(BadRequest):
    """No bulk job has this id."""

    http_status = 404
    code = "batch_not_found"


class BatchEnded(BadRequest):
    """The bulk job has already ended, so it can't be cancelled."""

    http_status = 409
    code = "batch_ended"


class UnknownAlarm(BadRequest):
    """No alarm has this id."""

    http_status = 404
    code = "alarm_not_found"


class UnknownLearningRun(BadRequest):
    """No learning run has this id."""

    http_status = 404
    code = "learning_run_not_found"


class LearningRefused(BadRequest):
    """The learning run can't do this in its present state, or the evidence does not support it."""

    http_status = 409
    code = "learning_refused"


class UnknownRouterVersion(BadRequest):
    """No router has this version."""

    http_status = 404
    code = "router_version_not_found"


class PromptTooLong(BadRequest):
    """The prompt does not fit the expert's context window."""

    code = "context_length_exceeded"


class NoFeasibleExpert(BadRequest):
    """No expert satisfies the request's limits."""

    http_status = 422
    code = "no_feasible_expert"


class BudgetSpent(BadRequest):
    """A panel has reached the request's cost limit."""

    http_status = 422
    code = "budget_spent"


class BudgetExhausted(BadRequest):
    """A bulk job's budget doesn't cover a line."""

    http_status = 422
    code = "budget_exhausted"


class LimitReached(BadRequest):
    """A key, a team or an application has reached a limit."""

    http_status = 429
    code = "rate_limit_exceeded"
    headers: Mapping[str, str] = {}
    """Response headers that describe the limits."""


class BudgetReached(LimitReached):
    """A key, a team or an application has spent the budget of its window."""

    http_status = 402
    code = "insufficient_quota"
    left_usd: float | None = None
    """The remaining dollars, if they may cover a cheaper answer."""


class RegistryError(CollegiumError):
    """A change of the registry is invalid."""

    http_status = 400
    code = "registry_error"


class ExpertExists(RegistryError):
    """An expert of this name is already registered."""

    http_status = 409
    code = "expert_exists"


class ExpertNotFound(RegistryError):
    """No expert of this name is registered."""

    http_status = 404
    code = "expert_not_found"


class EngineNotFound(RegistryError):
    """The service runs no engine of this name."""

    http_status = 404
    code = "engine_not_found"


class ApplicationNotFound(RegistryError):
    """No application has this key."""

    http_status = 404
    code = "application_not_found"


class KeyNotFound(RegistryError):
    """No key has this name or id."""

    http_status = 404
    code = "key_not_found"


class KeyConflict(RegistryError):
    """A key of this name already exists, or was revoked."""

    http_status = 409
    code = "key_conflict"


class TeamNotFound(RegistryError):
    """No team has this name."""

    http_status = 404
    code = "team_not_found"


class TeamConflict(RegistryError):
    """A team of this name already exists, or has keys."""

    http_status = 409
    code = "team_conflict"


class ProbeFailed(RegistryError):
    """The expert did not answer its probe as an expert should."""

    http_status = 422
    code = "probe_failed"


class LeaseLost(CollegiumError):
    """Another replica has taken over what this one worked on."""

    http_status = 503
    code = "lease_lost"


class StateUnavailable(CollegiumError):
    """The shared state can't be reached."""

    http_status = 503
    code = "state_unavailable"
    retry_after_s = 5


class ShuttingDown(CollegiumError):
    """The service is shutting down."""

    http_status = 503
    code = "shutting_down"
    retry_after_s = 5


class ArtifactRejected(CollegiumError):
    """A saved router is corrupt, incomplete or incompatible."""

    code = "artifact_rejected"


class KernelMisuse(CollegiumError, ValueError):
    """A kernel was called with invalid shapes, expert ids or options."""

    code = "kernel_misuse"


class PolicyRefused(KernelMisuse):
    """A token-routing policy lets tenants change each other's answers, and there may be several."""

    code = "policy_refused"


class ExpertError(CollegiumError):
    """An expert failed to answer."""

    http_status = 502
    code = "expert_error"
    rest_s: float | None = None
    """Seconds to pause, for all users of the same account, as the provider requests."""
    worked = False
    """Whether the expert had accepted the request, and so may bill it."""
    unreachable = False
    """Whether the expert's address doesn't accept connections at all."""

    def __init__(self, expert: str, message: str, *, detail: str = "") -> None:
        super().__init__(f"expert '{expert}': {message}")
        self.expert = expert
        self.detail = detail

    @property
    def bare(self) -> str:
        """With whose failure it is."""
        return f"expert '{self.expert}': {super().bare}"


class ExpertUnavailable(ExpertError):
    """The expert is down, starting or refuses connections."""

    http_status = 503
    code = "expert_unavailable"

    def __init__(
        self,
        expert: str,
        message: str,
        retry_after_s: int = 5,
        *,
        detail: str = "",
        unreachable: bool = False,
    ) -> None:
        super().__init__(expert, message, detail=detail)
        self.retry_after_s = retry_after_s
        self.unreachable = unreachable


class ExpertMisconfigured(ExpertError):
    """The expert's provider rejects this service: its key, its account or the model's name.

    Only the operator can fix that; the provider's message is not passed on to callers.
    """

    code = "expert_misconfigured"


class ModelGone(ExpertMisconfigured):
    """The expert's provider no longer has the model."""

    code = "model_gone"


class ExpertBusy(ExpertError):
    """The expert's queue is full, or too long for the deadline; retry later."""

    http_status = 429
    code = "expert_busy"

    def __init__(
        self, expert: str, message: str, retry_after_s: int = 1, *, detail: str = ""
    ) -> None:
        super().__init__(expert, message, detail=detail)
        self.retry_after_s = retry_after_s


class RateLimited(ExpertBusy):
    """The rate limit of the expert's provider is reached."""

    code = "rate_limit_exceeded"


class ExpertTimeout(ExpertError):
    """The expert did not answer in time."""

    http_status = 504
    code = "expert_timeout"


class QuorumMissed(ExpertError):
    """Too few members of a panel answered."""

    code = "quorum_missed"

    def __init__(self, answered: int, quorum: int, reasons: list[str]) -> None:
        why = "; ".join(reasons) or "the others timed out"
        super().__init__("panel", f"only {answered} of {quorum} required answers ({why})")


class ExpertRejected(ExpertError):
    """The expert understood the request and refused it; `status` is its HTTP status."""

    code = "expert_rejected"

    def __init__(self, expert: str, message: str, status: int = 400, *, detail: str = "") -> None:
        super().__init__(expert, message, detail=detail)
        self.http_status = status


class CapabilityMissing(ExpertRejected):
    """The expert lacks a capability that the request needs; another expert may have it."""

    code = "capability_missing"

    def __init__(
        self,
        expert: str,
        message: str,
        status: int = 400,
        *,
        capability: str = "",
        param: str | None = None,
        detail: str = "",
    ) -> None:
        super().__init__(expert, message, status, detail=detail)
        self.capability = capability
        """Such as `images`, `tools` or `json_schema`; empty if unknown."""
        self.param = param


class ContentRefused(ExpertRejected):
    """The content policy of the expert's provider refused the request; no other expert is asked."""

    code = "content_filter"
