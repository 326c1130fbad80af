"""Prometheus metrics at /metrics."""

from __future__ import annotations

import contextlib
import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from collegium.experts.clients.usage import Tokens
from collegium.experts.dispatch.dispatcher import Dispatcher
from collegium.experts.dispatch.in_flight import InFlight
from collegium.registry.budgets.limits import Limit
from collegium.registry.key import KeyState
from collegium.router.decision import Decision, Forecast

if TYPE_CHECKING:
    from prometheus_client.registry import Collector

    from collegium.registry.answers import Held

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
Metric = TypeVar("Metric", Counter, Histogram)
ROUTED = ("quality", "waiting", "session", "online", "bulk")
"""Policies by which the router chose; panels and named experts save nothing by it."""
BREAKER = {"closed": 0.0, "half-open": 0.5, "open": 1.0}


MOST_APPLICATIONS = 50
"""Applications with a series of their own; the requests of the rest are those of `other`."""
MOST_BUDGETS = 100
"""Budgets with a series: those of which the most is used."""


class Metrics:
    """The metrics of one service."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._children: dict[tuple[Any, tuple[str, ...]], Any] = {}
        self._decisions = Counter(
            "collegium_decisions", "Decisions", ["expert", "policy"], registry=self.registry
        )
        self._answers = Counter(
            "collegium_answers", "Finished answers", ["expert", "status"], registry=self.registry
        )
        self._of_applications = Counter(
            "collegium_application_decisions",
            "Decisions",
            ["application"],
            registry=self.registry,
        )
        self._of_applications_usd = Counter(
            "collegium_application_cost_usd",
            "Dollars spent",
            ["application"],
            registry=self.registry,
        )
        self._applications = Busiest(
            MOST_APPLICATIONS, self._of_applications, self._of_applications_usd
        )
        self._forecast_usd = Counter(
            "collegium_forecast_cost_usd",
            "Dollars that routed requests were forecast to cost",
            registry=self.registry,
        )
        self._best_usd = Counter(
            "collegium_best_expert_cost_usd",
            "Dollars that they would have cost by the expert of the best forecast quality",
            registry=self.registry,
        )
        self._tokens = Counter(
            "collegium_tokens", "Tokens", ["expert", "direction"], registry=self.registry
        )
        self._kinds = Counter(
            "collegium_tokens_of_kind",
            "Of the tokens, those that have a price of their own",
            ["expert", "kind"],
            registry=self.registry,
        )
        self._estimated = Counter(
            "collegium_estimated_calls",
            "Calls whose tokens the upstream did not tell",
            ["expert"],
            registry=self.registry,
        )
        self._cost = Counter(
            "collegium_cost_usd", "Dollars spent", ["expert"], registry=self.registry
        )
        self._overhead = self._histogram("collegium_routing_overhead_seconds", "Time to decide")
        self._latency = self._histogram("collegium_answer_seconds", "Time to the whole answer")
        self._first = self._histogram("collegium_first_token_seconds", "Time to the first token")
        self._in_flight = Gauge(
            "collegium_in_flight", "Answers being made", ["expert"], registry=self.registry
        )
        self._waiting = Gauge(
            "collegium_queue_depth", "Requests waiting", ["expert"], registry=self.registry
        )
        self._slots = Gauge(
            "collegium_slots_taken", "Requests asked now", ["place"], registry=self.registry
        )
        self._breakers = Gauge(
            "collegium_breaker",
            "0 closed, 0.5 half-open, 1 open",
            ["expert"],
            registry=self.registry,
        )
        self._pauses = Gauge(
            "collegium_paused_seconds",
            "Seconds until the provider's rate limit ends",
            ["expert"],
            registry=self.registry,
        )
        self._detours = Counter(
            "collegium_database_detours",
            "Transactions that SQLite's quick way left to the driver",
            registry=self.registry,
        )
        self._detours_seen = 0
        self._engines = Gauge(
            "collegium_engine_ready", "1 when ready", ["engine"], registry=self.registry
        )

        self._lookups = Counter(
            "collegium_cache_lookups",
            "Requests by what the response cache had for them",
            ["result"],
            registry=self.registry,
        )
        self._saved = Counter(
            "collegium_cache_saved_usd",
            "Dollars that cached answers had cost when they were given first",
            ["expert"],
            registry=self.registry,
        )
        self._cached = Gauge(
            "collegium_cache_entries", "Answers in the response cache", registry=self.registry
        )
        self._cached_bytes = Gauge(
            "collegium_cache_bytes", "Bytes of the response cache", registry=self.registry
        )
        self._budgets = Gauge(
            "collegium_budget_used_ratio",
            "Share of a budget or rate limit that is used or reserved in its window",
            ["scope", "name", "metric", "window"],
            registry=self.registry,
        )
        self._keys = Gauge("collegium_keys", "Keys by state", ["state"], registry=self.registry)
        self._alarms = Gauge("collegium_alarms", "Open alarms", ["kind"], registry=self.registry)
        self._lowered = Gauge(
            "collegium_forecast_lowered",
            "By how much an expert's forecasts are lowered while an alarm of it is open",
            ["expert"],
            registry=self.registry,
        )

    def _child(self, metric: Metric, *labels: str) -> Metric:
        """A metric's counter for these labels; asked for them, it takes 2.5 us, not 0.4."""
        key = (metric, labels)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = metric.labels(*labels)
        return child

    def _histogram(self, name: str, text: str) -> Histogram:
        return Histogram(name, text, ["expert"], buckets=SECONDS, registry=self.registry)

    def decided(self, decision: Decision, trace_id: str = "") -> None:
        """Count a decision, its overhead, and what it is forecast to save."""
        overhead = self._child(self._overhead, decision.expert)
        self._child(self._decisions, decision.expert, decision.policy).inc()
        overhead.observe(decision.overhead_ms / 1000, _exemplar(trace_id))
        if decision.application is not None:
            self._applications.count(decision.application)
        if decision.policy in ROUTED and (best := _best(decision)) is not None:
            ours = decision.forecast.cost_usd
            if ours is not None and best.cost_usd is not None:
                self._forecast_usd.inc(ours)
                self._best_usd.inc(best.cost_usd)

    def answered(
        self,
        name: str,
        status: str,
        latency_ms: float,
        ttft_ms: float | None,
        trace_id: str = "",
    ) -> None:
        """Count an answer that ended, under its expert's or its panel's name."""
        exemplar = _exemplar(trace_id)
        self._child(self._answers, name, status).inc()
        self._child(self._latency, name).observe(latency_ms / 1000, exemplar)
        if ttft_ms is not None:
            self._child(self._first, name).observe(ttft_ms / 1000, exemplar)

    def spent(self, application: str | None, usd: float | None) -> None:
        """Count what an answer cost for its application, where both are known."""
        if application is not None and usd is not None:
            self._applications.spend(application, usd)

    def looked_up(
        self, result: str, expert: str | None = None, saved_usd: float | None = None
    ) -> None:
        """Count what the response cache had for a request, and what a hit saves."""
        self._child(self._lookups, result).inc()
        if expert is not None and saved_usd is not None:
            self._child(self._saved, expert).inc(saved_usd)

    def cache_holds(self, held: Held) -> None:
        """Note how much the response cache holds."""
        self._cached.set(held.entries)
        self._cached_bytes.set(held.bytes)

    def called(
        self, expert: str, tokens: Tokens, cost_usd: float | None, *, estimated: bool = False
    ) -> None:
        """Count the usage of one call; dollars only if its expert's price is known."""
        self._child(self._tokens, expert, "prompt").inc(tokens.input)
        self._child(self._tokens, expert, "completion").inc(tokens.output)
        for kind, count in tokens.kinds():
            self._child(self._kinds, expert, kind).inc(count)
        if estimated:
            self._child(self._estimated, expert).inc()
        if cost_usd is not None:
            self._child(self._cost, expert).inc(cost_usd)

    def engines(self, ready: Mapping[str, bool]) -> None:
        """Note which engines there are now, and whether they are ready."""
        self._engines.clear()  # an engine that is gone is not one that is down
        for name, is_ready in ready.items():
            self._engines.labels(name).set(is_ready)

    def in_flight(self, in_flight: InFlight) -> None:
        """Note how many answers each expert is making."""
        for expert, answers in in_flight.by_expert().items():
            self._in_flight.labels(expert).set(answers)

    def queues(self, dispatcher: Dispatcher) -> None:
        """Update the gauges of queues, answers in progress and paused experts."""
        for expert, waiting in dispatcher.waiting().items():
            self._waiting.labels(expert).set(waiting)
        for place, busy in dispatcher.busy().items():
            self._slots.labels(_shown(place)).set(busy)
        for expert, state in dispatcher.circuits().items():
            self._breakers.labels(expert).set(BREAKER[state])
        for expert, pause_s in dispatcher.pauses().items():
            self._pauses.labels(expert).set(pause_s)

    def alarms(self, kinds: Sequence[str], lowered: Mapping[str, float]) -> None:
        """Note the kinds of all open alarms, and whose forecasts are lowered by how much."""
        self._alarms.clear()
        for kind in kinds:
            self._alarms.labels(kind).inc()
        self._lowered.clear()
        for expert, points in lowered.items():
            self._lowered.labels(expert).set(points)

    def budgets(self, shares: Mapping[Limit, float]) -> None:
        """Note how much of each limit is used."""
        self._budgets.clear()
        fullest = sorted(shares.items(), key=lambda item: -item[1])[:MOST_BUDGETS]
        for limit, share in fullest:
            labels = limit.scope, limit.name, limit.metric, limit.window
            self._budgets.labels(*labels).set(share)

    def keys(self, states: Mapping[str, int]) -> None:
        """Note how many keys of the registry are in each state."""
        for state in get_args(KeyState):
            self._keys.labels(state).set(states.get(state, 0))

    def database(self, detours: int) -> None:
        """Note how many transactions took the slow way so far."""
        self._detours.inc(detours - self._detours_seen)
        self._detours_seen = detours


def by_expert(metrics: Collector, name: str) -> dict[str, float]:
    """Return the values of a gauge that has one for each expert."""
    families = (family for family in metrics.collect() if family.name == name)
    return {s.labels["expert"]: s.value for family in families for s in family.samples}


def _exemplar(trace_id: str) -> dict[str, str] | None:
    """What leads from a bucket to a trace of an answer in it."""
    return {"trace_id": trace_id} if trace_id else None


def _best(decision: Decision) -> Forecast | None:
    """The forecast of the best quality among those that could answer; None if none is known."""
    known = [f for f in decision.forecasts if f.feasible and f.quality is not None]
    return max(known, key=lambda f: f.quality or 0.0, default=None)


def _shown(place: str) -> str:
    """The label of an endpoint, without its address, which readers of metrics need not know."""
    if "://" not in place:
        return place
    return f"endpoint-{hashlib.sha256(place.encode()).hexdigest()[:8]}"


class Busiest:
    """Counters with a series for each of the busiest names, and one for all the others.

    A name takes the place of the quietest one when it was counted more often; the counts of names
    without a series are kept for the latest hundred times as many.
    """

    def __init__(self, most: int, counter: Counter, dollars: Counter) -> None:
        self._most = most
        self._counter = counter
        self._dollars = dollars
        self._shown: dict[str, int] = {}
        self._others: OrderedDict[str, int] = OrderedDict()

    def count(self, name: str) -> None:
        """Count one."""
        if name not in self._shown and not self._shows(name):
            self._counter.labels("other").inc()
            return
        self._shown[name] += 1
        self._counter.labels(name).inc()

    def spend(self, name: str, usd: float) -> None:
        """Add dollars to a name that was counted."""
        self._dollars.labels(name if name in self._shown else "other").inc(usd)

    def _shows(self, name: str) -> bool:
        """Give a name a series, if there is room or it is busier than another."""
        seen = self._others.pop(name, 0)
        if len(self._shown) >= self._most:
            quietest = min(self._shown, key=self._shown.__getitem__)
            if name == "other" or self._shown[quietest] > seen:
                self._remember(name, seen + 1)
                return False
            self._counter.remove(quietest)
            with contextlib.suppress(KeyError):  # nothing was spent
                self._dollars.remove(quietest)
            self._remember(quietest, self._shown.pop(quietest))
        self._shown[name] = seen
        return True

    def _remember(self, name: str, seen: int) -> None:
        self._others[name] = seen
        if len(self._others) > 100 * self._most:
            self._others.popitem(last=False)
