"""The parts of a running service. `build` makes them from settings; tests pass in their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from collegium.experts.fleet import Fleet
from collegium.experts.pool import Pool
from collegium.experts.registration import Registration
from collegium.experts.tracing import Tracer
from collegium.registry.background import Background
from collegium.registry.budgets.limits import BudgetRegistry
from collegium.registry.budgets.usage import Usage
from collegium.registry.bulk.batches import BatchRegistry
from collegium.registry.bulk.file_store import FileStore
from collegium.registry.bulk.files import FileRegistry
from collegium.registry.clock import SteadyClock
from collegium.registry.decisions.log import DecisionLog
from collegium.registry.decisions.responses import ResponseRegistry
from collegium.registry.decisions.retention import Retention
from collegium.registry.experts import ExpertRegistry
from collegium.registry.keys import KeyRegistry
from collegium.registry.learning.alarms import AlarmRegistry
from collegium.registry.learning.router_versions import RouterVersions
from collegium.registry.learning.runs import LearningRegistry
from collegium.registry.learning.watching import WatchRegistry
from collegium.registry.leases import Leases
from collegium.registry.state import SharedState
from collegium.registry.storage.database import Database
from collegium.router.costs import Speeds
from collegium.router.tokens import Tokens
from collegium.settings import Settings
from collegium.web.batch.inbox import Inbox
from collegium.web.serving.aliases import Aliases
from collegium.web.serving.audit import Audit
from collegium.web.serving.budgets import Budgets
from collegium.web.serving.callers import Callers
from collegium.web.serving.catalogue import Catalogue
from collegium.web.serving.current_router import CurrentRouter
from collegium.web.serving.decide import Decider
from collegium.web.serving.draining import Draining
from collegium.web.serving.embedder import Embedder
from collegium.web.serving.learning import Learning
from collegium.web.serving.lowered import Lowered
from collegium.web.serving.metrics import Metrics
from collegium.web.serving.pipeline import Pipeline
from collegium.web.serving.recent_responses import RecentResponses
from collegium.web.serving.recognition import Recognition
from collegium.web.serving.recording import Recorder
from collegium.web.serving.router_follower import RouterFollower
from collegium.web.serving.router_maker import RouterMaker
from collegium.web.serving.shared import Shared
from collegium.web.serving.wrong_keys import WrongKeys

if TYPE_CHECKING:
    from collegium.web.serving.response_cache import ResponseCache


@dataclass(frozen=True)
class Parts:
    """Everything that a handler can ask for, by name."""

    settings: Settings
    telemetry: Tracer
    database: Database
    registry: ExpertRegistry
    log: DecisionLog
    recorder: Recorder
    retention: Retention
    usage: Usage
    files: FileRegistry
    file_store: FileStore
    batches: BatchRegistry
    responses: ResponseRegistry
    recent_responses: RecentResponses
    inbox: Inbox
    shared: Shared
    state: SharedState
    metrics: Metrics
    speeds: Speeds
    tokens: Tokens
    budgets: Budgets
    budget_registry: BudgetRegistry
    fleet: Fleet
    pool: Pool
    registration: Registration
    catalogue: Catalogue
    router: CurrentRouter
    router_maker: RouterMaker
    router_versions: RouterVersions
    router_follower: RouterFollower
    learning_runs: LearningRegistry
    learning: Learning
    alarms: AlarmRegistry
    lowered: Lowered
    leases: Leases
    watching: WatchRegistry
    recognition: Recognition
    aliases: Aliases
    embedder: Embedder
    decider: Decider
    pipeline: Pipeline
    background: Background
    wrong_keys: WrongKeys
    keys: KeyRegistry
    callers: Callers
    audit: Audit
    draining: Draining
    clock: SteadyClock
    cache: ResponseCache | None = None
    """None where the setting `response_cache` is off."""
