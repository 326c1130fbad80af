"""The parts of a running service. `build` makes them from settings; tests pass in their own."""

from __future__ import annotations

from dataclasses import dataclass

from collegium.experts.fleet import Fleet
from collegium.experts.pool import Pool
from collegium.experts.registration import Registration
from collegium.registry.alarms import AlarmRegistry
from collegium.registry.batches import BatchRegistry
from collegium.registry.clock import SteadyClock
from collegium.registry.database import Database
from collegium.registry.decisions import DecisionLog
from collegium.registry.experts import ExpertRegistry
from collegium.registry.file_store import FileStore
from collegium.registry.files import FileRegistry
from collegium.registry.learning import LearningRegistry
from collegium.registry.leases import Leases
from collegium.registry.retention import Retention
from collegium.registry.router_versions import RouterVersions
from collegium.registry.state import SharedState
from collegium.registry.watching import WatchRegistry
from collegium.router.costs import Speeds
from collegium.router.pacing import Pacing
from collegium.router.tokens import Tokens
from collegium.settings import Settings
from collegium.web.batch.inbox import Inbox
from collegium.web.serving.audit import Audit
from collegium.web.serving.background import Background
from collegium.web.serving.catalogue import Catalogue
from collegium.web.serving.current_router import CurrentRouter
from collegium.web.serving.decide import Decider
from collegium.web.serving.draining import Draining
from collegium.web.serving.learning import Learning
from collegium.web.serving.lowered import Lowered
from collegium.web.serving.metrics import Metrics
from collegium.web.serving.pipeline import Pipeline
from collegium.web.serving.recognition import Recognition
from collegium.web.serving.recording import Recorder
from collegium.web.serving.router_maker import RouterMaker
from collegium.web.serving.wrong_keys import WrongKeys


@dataclass(frozen=True)
class Parts:
    """Everything that a handler can ask for, by name."""

    settings: Settings
    database: Database
    registry: ExpertRegistry
    log: DecisionLog
    recorder: Recorder
    retention: Retention
    files: FileRegistry
    file_store: FileStore
    batches: BatchRegistry
    inbox: Inbox
    state: SharedState
    metrics: Metrics
    speeds: Speeds
    tokens: Tokens
    pacing: Pacing
    fleet: Fleet
    pool: Pool
    registration: Registration
    catalogue: Catalogue
    router: CurrentRouter
    router_maker: RouterMaker
    router_versions: RouterVersions
    learning_runs: LearningRegistry
    learning: Learning
    alarms: AlarmRegistry
    lowered: Lowered
    leases: Leases
    watching: WatchRegistry
    recognition: Recognition
    decider: Decider
    pipeline: Pipeline
    background: Background
    wrong_keys: WrongKeys
    audit: Audit
    draining: Draining
    clock: SteadyClock
