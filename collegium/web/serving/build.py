"""Make the parts of a service from its settings; nothing is started or opened yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collegium.experts.clients.factory import Clients
from collegium.experts.configured import configured_fleet
from collegium.experts.dispatch.dispatcher import Dispatcher
from collegium.experts.fleet import Fleet
from collegium.experts.pool import Pool
from collegium.experts.registration import Registration
from collegium.registry.alarms import AlarmRegistry
from collegium.registry.applications import ApplicationRegistry
from collegium.registry.batches import BatchRegistry
from collegium.registry.clock import SteadyClock
from collegium.registry.database import Database
from collegium.registry.decisions import DecisionLog
from collegium.registry.engines import EngineRegistry
from collegium.registry.experts import ExpertRegistry
from collegium.registry.file_store import FileStore
from collegium.registry.files import FileRegistry
from collegium.registry.learning import LearningRegistry
from collegium.registry.leases import Leases
from collegium.registry.retention import Retention
from collegium.registry.router_versions import RouterVersions
from collegium.registry.state import SharedState, open_state
from collegium.registry.watching import WatchRegistry
from collegium.router.artifact import BUNDLED
from collegium.router.costs import Speeds
from collegium.router.pacing import Pacing
from collegium.router.panels.profiles import Profiles
from collegium.router.tokens import Tokens
from collegium.settings import Settings
from collegium.web.batch.inbox import Inbox
from collegium.web.serving.audit import Audit
from collegium.web.serving.background import Background
from collegium.web.serving.budgets import Budgets
from collegium.web.serving.catalogue import Catalogue
from collegium.web.serving.current_router import CurrentRouter
from collegium.web.serving.decide import Decider
from collegium.web.serving.draining import Draining
from collegium.web.serving.learning import Learning
from collegium.web.serving.lowered import Lowered
from collegium.web.serving.metrics import Metrics
from collegium.web.serving.outcome import Accounts
from collegium.web.serving.parts import Parts
from collegium.web.serving.pipeline import Pipeline
from collegium.web.serving.recognition import Recognition
from collegium.web.serving.recording import Recorder
from collegium.web.serving.router_maker import RouterMaker
from collegium.web.serving.sessions import Sessions
from collegium.web.serving.shadow import Shadow
from collegium.web.serving.wrong_keys import WrongKeys
from collegium.web.watching.upstream_models import UpstreamModels

if TYPE_CHECKING:
    from collegium.router.router import Router
    from collegium.web.serving.redaction import Redactor


def build(
    settings: Settings, *, clients: Clients | None = None, router: Router | None = None
) -> Parts:
    """All parts. `clients` reach the experts, by default over the network; a given `router` need
    not be loaded.
    """
    database, background = Database(settings.registry_url), Background()
    registry, engines = ExpertRegistry(database), EngineRegistry(database)
    log, metrics, clock = DecisionLog(database), Metrics(), SteadyClock()
    recorder = Recorder(log, settings.record, redactor_of(settings))
    speeds, tokens = Speeds(settings.device_watts), Tokens()
    redis = settings.redis_url
    state = open_state(redis.get_secret_value() if redis else None)
    fleet = configured_fleet(settings)
    pool = make_pool(settings, fleet, state, clients)
    catalogue = Catalogue(registry, engines, fleet, pool, background)
    current, sessions = CurrentRouter(router), Sessions(state, settings.session_ttl_s)
    learning = Learning(settings.data_dir / "online")
    profiles = Profiles.load(settings.router_dir or BUNDLED)
    pacing = Pacing({})
    recognition = Recognition(
        ApplicationRegistry(database),
        budgets=Budgets(pacing, log),
        keep_text=recorder.text,
    )
    alarms, watching, lowered = AlarmRegistry(database), WatchRegistry(database), Lowered()
    upstreams = UpstreamModels(watching, alarms, background)
    decider = Decider(catalogue, current, pool, sessions, profiles, pacing, recognition, lowered)
    accounts = Accounts(
        pool, recorder, metrics, speeds, tokens, pacing, learning, background, upstreams
    )
    shadow = Shadow(current, decider, log, background)
    pipeline = Pipeline(decider, recorder, sessions, accounts, metrics, shadow)
    return Parts(
        settings=settings,
        database=database,
        registry=registry,
        log=log,
        recorder=recorder,
        retention=Retention(
            database,
            days=settings.retention_days,
            max_bytes=round(settings.record_max_mib * 2**20),
        ),
        files=FileRegistry(database, clock),
        file_store=FileStore(settings.data_dir / "files"),
        batches=BatchRegistry(database),
        inbox=Inbox(settings.data_dir / "batches"),
        state=state,
        metrics=metrics,
        speeds=speeds,
        tokens=tokens,
        pacing=pacing,
        fleet=fleet,
        pool=pool,
        registration=Registration(registry, pool, fleet, engines),
        catalogue=catalogue,
        router=current,
        router_maker=RouterMaker(settings, speeds, tokens, learning),
        router_versions=RouterVersions(database),
        learning_runs=LearningRegistry(database),
        learning=learning,
        alarms=alarms,
        lowered=lowered,
        leases=Leases(database),
        watching=watching,
        recognition=recognition,
        decider=decider,
        pipeline=pipeline,
        background=background,
        wrong_keys=WrongKeys(),
        audit=Audit(settings.data_dir / "logs" / "audit.jsonl"),
        draining=Draining(),
        clock=clock,
    )


def redactor_of(settings: Settings) -> Redactor | None:
    """The operator's redactor, loaded; SettingsError where that can't be done."""
    if settings.redact is None:
        return None
    from collegium.web.serving.redaction import Redactor

    return Redactor.of(settings.redact)


def make_pool(
    settings: Settings, fleet: Fleet, state: SharedState, clients: Clients | None = None
) -> Pool:
    """The pool; replicas that share a state also share what they know of endpoints."""
    timeout_s = settings.request_timeout_s
    shared = state if settings.redis_url else None
    return Pool(
        fleet,
        timeout_s=timeout_s,
        first_token_timeout_s=settings.first_token_timeout_s,
        remote_concurrency=settings.remote_concurrency,
        clients=clients,
        dispatcher=Dispatcher(shared, depth=settings.queue_depth, patience_s=timeout_s),
        residents=fleet.residents,
        key_variables=settings.api_key_variables,
        most_bytes=round(settings.max_answer_mib * 2**20),
    )
