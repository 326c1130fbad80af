"""Create the parts of a service from its settings; nothing is started or opened yet."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from collegium.experts.clients.factory import Clients
from collegium.experts.configured import configured_fleet
from collegium.experts.dispatch.dispatcher import Dispatcher
from collegium.experts.fleet import Fleet
from collegium.experts.pool import Pool
from collegium.experts.registration import Registration
from collegium.experts.tracing import Tracer
from collegium.extras import require
from collegium.registry.applications import ApplicationRegistry
from collegium.registry.background import Background
from collegium.registry.budgets.ledger import BudgetLedger
from collegium.registry.budgets.limits import BudgetRegistry
from collegium.registry.budgets.usage import Usage
from collegium.registry.bulk.batches import BatchRegistry
from collegium.registry.bulk.file_store import FileStore
from collegium.registry.bulk.files import FileRegistry
from collegium.registry.clock import SteadyClock
from collegium.registry.decisions.log import DecisionLog
from collegium.registry.decisions.responses import ResponseRegistry
from collegium.registry.decisions.retention import Retention
from collegium.registry.engines import EngineRegistry
from collegium.registry.experts import ExpertRegistry
from collegium.registry.keys import KeyRegistry
from collegium.registry.learning.alarms import AlarmRegistry
from collegium.registry.learning.router_versions import RouterVersions
from collegium.registry.learning.runs import LearningRegistry
from collegium.registry.learning.watching import WatchRegistry
from collegium.registry.leases import Leases
from collegium.registry.storage.database import Database
from collegium.router.artifact import folder_of
from collegium.router.costs import Speeds
from collegium.router.pacing import Pacing
from collegium.router.panels.profiles import Profiles
from collegium.router.tokens import Tokens
from collegium.settings import Settings
from collegium.telemetry_variables import COLLECTOR, exports, require_telemetry
from collegium.web.batch.inbox import Inbox
from collegium.web.serving.accounts import Accounts
from collegium.web.serving.aliases import Aliases
from collegium.web.serving.audit import audit_of
from collegium.web.serving.budget_counts import BudgetCounts
from collegium.web.serving.budgets import Budgets
from collegium.web.serving.call_bounds import CallBounds
from collegium.web.serving.callers import Callers
from collegium.web.serving.catalogue import Catalogue
from collegium.web.serving.current_router import CurrentRouter
from collegium.web.serving.decide import Decider
from collegium.web.serving.draining import Draining
from collegium.web.serving.embedder import Embedder
from collegium.web.serving.learning import Learning
from collegium.web.serving.limits_in_force import LimitsInForce
from collegium.web.serving.lowered import Lowered
from collegium.web.serving.metrics import Metrics
from collegium.web.serving.parts import Parts
from collegium.web.serving.pipeline import Pipeline
from collegium.web.serving.recent_responses import RecentResponses
from collegium.web.serving.recognition import Recognition
from collegium.web.serving.recording import Recorder
from collegium.web.serving.router_follower import RouterFollower
from collegium.web.serving.router_maker import RouterMaker
from collegium.web.serving.sessions import Sessions
from collegium.web.serving.shadow import Shadow
from collegium.web.serving.shared import Shared, open_shared
from collegium.web.serving.wrong_keys import WrongKeys
from collegium.web.watching.upstream_models import UpstreamModels

if TYPE_CHECKING:
    from collegium.router.router import Router
    from collegium.web.serving.redaction import Redactor
    from collegium.web.serving.response_cache import ResponseCache


Share = Callable[[Settings, Database], Shared]


def build(
    settings: Settings,
    *,
    clients: Clients | None = None,
    router: Router | None = None,
    share: Share = open_shared,
    fleet: Fleet | None = None,
) -> Parts:
    """Return all parts. `clients` reach the experts, by default over the network; a given `router`
    is used as it is. Several processes of one machine give what they `share`, and its `fleet`.
    """
    database, background = Database(settings.registry_url), Background()
    shared = share(settings, database)
    registry, engines = ExpertRegistry(database), EngineRegistry(database)
    keys = KeyRegistry(database)
    callers = Callers(settings, keys)
    log, metrics, clock = DecisionLog(database), Metrics(), SteadyClock()
    recorder = Recorder(log, settings.record, redactor_of(settings))
    speeds, tokens = Speeds(settings.device_watts), Tokens()
    state = shared.state
    fleet = configured_fleet(settings) if fleet is None else fleet
    pool = make_pool(settings, fleet, shared, clients)
    catalogue = Catalogue(registry, engines, fleet, pool, background)
    current, sessions = CurrentRouter(router), Sessions(state, settings.session_ttl_s)
    learning = make_learning(shared, database)
    profiles = Profiles.load(folder_of(settings))
    pacing = Pacing({})
    limits = LimitsInForce()
    counts = BudgetCounts(shared.counters, BudgetLedger(database), log)
    bounds = CallBounds(tokens, speeds)
    budget_registry = BudgetRegistry(database)
    budgets = Budgets(budget_registry, counts, limits, pacing, bounds, settings.budget_least_tokens)
    recognition = Recognition(
        ApplicationRegistry(database),
        budgets=budgets,
        keep_text=recorder.text,
    )
    maker, versions = RouterMaker(settings, speeds, tokens, learning), RouterVersions(database)
    alarms, watching, lowered = AlarmRegistry(database), WatchRegistry(database), Lowered()
    upstreams = UpstreamModels(watching, alarms, background)
    aliases = Aliases(settings.model_aliases)
    decider = Decider(
        catalogue,
        current,
        pool,
        sessions,
        profiles,
        pacing,
        recognition,
        limits,
        lowered,
        aliases,
        settings.budget_fields,
    )
    accounts = Accounts(
        pool, recorder, metrics, speeds, tokens, pacing, budgets, learning, background, upstreams
    )
    shadow = Shadow(current, decider, log, background)
    cache = open_cache(settings, shared, limits, metrics, background)
    pipeline = Pipeline(decider, recorder, sessions, accounts, metrics, shadow, budgets, cache)
    return Parts(
        settings=settings,
        telemetry=telemetry_of(metrics),
        database=database,
        registry=registry,
        log=log,
        recorder=recorder,
        retention=Retention(
            database,
            days=settings.retention_days,
            max_bytes=round(settings.record_max_mib * 2**20),
            forget=None if cache is None else cache.forget,
        ),
        usage=Usage(database),
        files=FileRegistry(database, clock),
        file_store=FileStore(database),
        batches=BatchRegistry(database),
        responses=ResponseRegistry(database),
        recent_responses=RecentResponses(log.get_all),
        inbox=Inbox(),
        shared=shared,
        state=state,
        metrics=metrics,
        speeds=speeds,
        tokens=tokens,
        budgets=budgets,
        budget_registry=budget_registry,
        fleet=fleet,
        pool=pool,
        registration=Registration(registry, pool, fleet, engines),
        catalogue=catalogue,
        router=current,
        router_maker=maker,
        router_versions=versions,
        router_follower=RouterFollower(settings, versions, current, maker, recognition),
        learning_runs=LearningRegistry(database),
        learning=learning,
        alarms=alarms,
        lowered=lowered,
        leases=Leases(database),
        watching=watching,
        recognition=recognition,
        aliases=aliases,
        embedder=Embedder(current),
        decider=decider,
        pipeline=pipeline,
        background=background,
        wrong_keys=WrongKeys.of_one(settings.processes),
        keys=keys,
        callers=callers,
        audit=audit_of(settings),
        draining=Draining(),
        clock=clock,
        cache=cache,
    )


def make_learning(shared: Shared, database: Database) -> Learning:
    """Return what learns from ratings."""
    from collegium.registry.online_state import OnlineState  # importing the app need not load it

    return Learning(OnlineState(database), shared.trials)


def open_cache(
    settings: Settings,
    shared: Shared,
    limits: LimitsInForce,
    metrics: Metrics,
    background: Background,
) -> ResponseCache | None:
    """The response cache; None where it is off."""
    mode = settings.response_cache
    if mode == "off" or shared.answers is None:
        return None
    from collegium.web.serving.cache_key import Keys  # for services that cache
    from collegium.web.serving.response_cache import ResponseCache

    return ResponseCache(shared.answers, Keys(mode, limits), metrics, background)


def redactor_of(settings: Settings) -> Redactor | None:
    """Load the operator's redaction function; raise SettingsError if that fails."""
    if settings.redact is None:
        return None
    from collegium.web.serving.redaction import Redactor

    return Redactor.of(settings.redact)


def telemetry_of(metrics: Metrics) -> Tracer:
    """What exports spans and metrics; ExtraMissing where it is asked for and not installed."""
    if not (exports("traces") or exports("metrics")):
        return Tracer()
    require("otel", f"exporting telemetry (`{COLLECTOR}` is set)")
    require_telemetry()
    from collegium.web.telemetry.telemetry import Telemetry

    return Telemetry(metrics)


def make_pool(
    settings: Settings, fleet: Fleet, shared: Shared, clients: Clients | None = None
) -> Pool:
    """Return the pool; several processes share the load and the state of endpoints."""
    timeout_s = settings.request_timeout_s
    state = shared.state if shared.several else None
    return Pool(
        fleet,
        timeout_s=timeout_s,
        first_token_timeout_s=settings.first_token_timeout_s,
        remote_concurrency=settings.remote_concurrency,
        clients=clients,
        dispatcher=Dispatcher(state, depth=settings.queue_depth, patience_s=timeout_s),
        residents=fleet.residents,
        key_variables=settings.api_key_variables,
        most_bytes=round(settings.max_answer_mib * 2**20),
        engines_of=shared.engines_of,
    )
