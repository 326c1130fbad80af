"""Create the parts of a service from its settings; nothing is started or opened yet."""

from __future__ import annotations

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
from collegium.registry.budgets.counters import Counters, MemoryCounters
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
from collegium.registry.state import MemoryState, SharedState, SturdyState
from collegium.registry.storage.database import Database
from collegium.router.artifact import folder_of
from collegium.router.costs import Speeds
from collegium.router.pacing import Pacing
from collegium.router.panels.profiles import Profiles
from collegium.router.tokens import Tokens
from collegium.settings import COLLECTOR, Settings, exports, require_telemetry
from collegium.web.batch.inbox import Inbox
from collegium.web.serving.accounts import Accounts
from collegium.web.serving.aliases import Aliases
from collegium.web.serving.audit import Audit
from collegium.web.serving.background import Background
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
from collegium.web.serving.wrong_keys import WrongKeys
from collegium.web.watching.upstream_models import UpstreamModels

if TYPE_CHECKING:
    from collegium.registry.answers import AnswerStore
    from collegium.router.router import Router
    from collegium.web.serving.redaction import Redactor
    from collegium.web.serving.response_cache import ResponseCache


def build(
    settings: Settings, *, clients: Clients | None = None, router: Router | None = None
) -> Parts:
    """Return all parts. `clients` reach the experts, by default over the network; a given `router`
    is used as it is.
    """
    database, background = Database(settings.registry_url), Background()
    registry, engines = ExpertRegistry(database), EngineRegistry(database)
    keys = KeyRegistry(database)
    callers = Callers(settings, keys)
    log, metrics, clock = DecisionLog(database), Metrics(), SteadyClock()
    recorder = Recorder(log, settings.record, redactor_of(settings))
    speeds, tokens = Speeds(settings.device_watts), Tokens()
    state = open_state(settings)
    fleet = configured_fleet(settings)
    pool = make_pool(settings, fleet, state, clients)
    catalogue = Catalogue(registry, engines, fleet, pool, background)
    current, sessions = CurrentRouter(router), Sessions(state, settings.session_ttl_s)
    learning = make_learning(settings, database)
    profiles = Profiles.load(folder_of(settings))
    pacing = Pacing({})
    limits = LimitsInForce()
    counts = BudgetCounts(open_counters(settings, database), BudgetLedger(database), log)
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
    cache = open_cache(settings, limits, metrics, background)
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
        wrong_keys=WrongKeys(),
        keys=keys,
        callers=callers,
        audit=Audit(settings.data_dir / "logs" / "audit.jsonl"),
        draining=Draining(),
        clock=clock,
        cache=cache,
    )


def make_learning(settings: Settings, database: Database) -> Learning:
    """Return what learns from ratings."""
    from collegium.registry.online_state import OnlineState  # importing the app need not load it

    return Learning(OnlineState(database), open_state(settings))


def open_state(settings: Settings) -> SharedState:
    """Return state in Redis if a URL is given, otherwise in this process."""
    if settings.redis_url is None:
        return MemoryState()
    from collegium.registry.redis_state import RedisState  # takes 0.2 s to import

    return SturdyState(RedisState(settings.redis_url.get_secret_value()))


def open_cache(
    settings: Settings, limits: LimitsInForce, metrics: Metrics, background: Background
) -> ResponseCache | None:
    """The response cache, in Redis where a URL names one; None where it is off."""
    mode = settings.response_cache
    if mode == "off":
        return None
    from collegium.web.serving.cache_key import Keys  # for services that cache
    from collegium.web.serving.response_cache import ResponseCache

    return ResponseCache(open_answers(settings), Keys(mode, limits), metrics, background)


def open_answers(settings: Settings) -> AnswerStore:
    """Where the response cache keeps its answers."""
    ttl_s, most = settings.response_cache_ttl_s, round(settings.response_cache_max_mib * 2**20)
    if settings.redis_url is None:
        from collegium.registry.answers import MemoryAnswers

        return MemoryAnswers(ttl_s=ttl_s, most_bytes=most)
    from collegium.registry.answers_redis import RedisAnswers

    return RedisAnswers(settings.redis_url.get_secret_value(), ttl_s=ttl_s, most_bytes=most)


def open_counters(settings: Settings, database: Database) -> Counters:
    """Counters in Redis where a URL names one, else in this process."""
    if settings.redis_url is None and database.is_sqlite:
        return MemoryCounters()
    if settings.redis_url is None:
        from collegium.registry.sole_counters import SoleCounters  # where there may be replicas

        return SoleCounters(Leases(database))
    from collegium.registry.budgets.redis import RedisCounters  # where replicas share them

    return RedisCounters(settings.redis_url.get_secret_value())


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
    settings: Settings, fleet: Fleet, state: SharedState, clients: Clients | None = None
) -> Pool:
    """Return the pool; replicas with shared state also share the load and state of endpoints."""
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
