"""Make the parts of a service from its settings; nothing is started or opened yet."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from collegium.experts.clients.factory import Clients
from collegium.experts.configured import configured_fleet
from collegium.experts.dispatch.dispatcher import Dispatcher
from collegium.experts.fleet import Fleet
from collegium.experts.pool import Pool
from collegium.experts.registration import Registration
from collegium.registry.applications import ApplicationRegistry
from collegium.registry.batches import BatchRegistry
from collegium.registry.clock import SteadyClock
from collegium.registry.database import Database
from collegium.registry.decisions import DecisionLog
from collegium.registry.engines import EngineRegistry
from collegium.registry.experts import ExpertRegistry
from collegium.registry.file_store import FileStore
from collegium.registry.files import FileRegistry
from collegium.registry.state import SharedState, open_state
from collegium.router.artifact import BUNDLED, load
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
from collegium.web.serving.metrics import Metrics
from collegium.web.serving.outcome import Accounts
from collegium.web.serving.parts import Parts
from collegium.web.serving.pipeline import Pipeline
from collegium.web.serving.recognition import Recognition
from collegium.web.serving.sessions import Sessions
from collegium.web.serving.wrong_keys import WrongKeys

if TYPE_CHECKING:
    from collegium.router.router import Router


def build(
    settings: Settings, *, clients: Clients | None = None, router: Router | None = None
) -> Parts:
    """All parts. `clients` reach the experts, by default over the network; a given `router` need
    not be loaded.
    """
    database, background = Database(settings.registry_url), Background()
    registry, engines = ExpertRegistry(database), EngineRegistry(database)
    log, metrics, clock = DecisionLog(database), Metrics(), SteadyClock()
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
        keep_texts=settings.record_prompts,
    )
    decider = Decider(catalogue, current, pool, sessions, profiles, pacing, recognition)
    accounts = Accounts(pool, log, metrics, speeds, tokens, pacing, learning, background)
    pipeline = Pipeline(
        decider, log, sessions, accounts, metrics, record_prompts=settings.record_prompts
    )
    return Parts(
        settings=settings,
        database=database,
        registry=registry,
        log=log,
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
        learning=learning,
        recognition=recognition,
        decider=decider,
        pipeline=pipeline,
        background=background,
        wrong_keys=WrongKeys(),
        audit=Audit(settings.data_dir / "logs" / "audit.jsonl"),
        draining=Draining(),
        clock=clock,
    )


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


def load_router(settings: Settings, speeds: Speeds, tokens: Tokens, learning: Learning) -> Router:
    """Load encoder and router; this takes a second, and so belongs into a thread."""
    from threadpoolctl import threadpool_limits

    from collegium.router.encoder import as_fitted, make_encoder
    from collegium.router.router import Router

    # One thread: the engine needs the cores, and a query is one short sentence.
    fitted = load(settings.router_dir or BUNDLED)
    encoder = as_fitted(
        make_encoder(settings.encoder, cache=settings.cache_dir, threads=1), fitted.encoder
    )
    encoder.encode(["The first query should not pay for lazy loading."])
    # Its threads would wait busily beside the event loop; loading the router has imported it.
    threadpool_limits(1, "blas")
    learner, mode = None, settings.online_learning
    if mode != "off":
        from collegium.router.online.learner import Learner

        learner = learning.open(partial(Learner.open, fitted=fitted, mode=mode))
    return Router(
        encoder,
        fitted,
        speeds,
        learner=learner,
        wait_penalty=settings.wait_penalty,
        tokens=tokens,
    )
