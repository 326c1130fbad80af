"""The dashboard and the alerting rules name metrics and labels that a service exposes."""

from __future__ import annotations

import asyncio
import json
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.repository import read
from tests.web import panels
from tests.web.conftest import Serve, Web, until

NAME = re.compile(r"\b(?:collegium_\w+|up)\b")
GROUPS = re.compile(r"\b(?:by|without|ignoring|on|group_left|group_right) \(([^)]*)\)")
MATCHERS = re.compile(r"\{([^{}]*)\}")
OF_PROMETHEUS = {"instance", "job"}
"""Labels that Prometheus itself adds."""


def queries() -> Iterator[tuple[str, set[str]]]:
    """Each query with the labels that its legend or its words use."""
    dashboard = json.loads(read("docker/grafana/collegium.json"))
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield target["expr"], set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
    for group in yaml.safe_load(read("docker/prometheus-rules.yml"))["groups"]:
        for rule in group["rules"]:
            words = " ".join(rule["annotations"].values())
            yield rule["expr"], set(re.findall(r"\$labels\.(\w+)", words))


def labels_in(query: str) -> set[str]:
    """The labels that a query selects or groups by."""
    grouped = {name.strip() for group in GROUPS.findall(query) for name in group.split(",")}
    matched = {
        re.split(r"[=!~]", matcher)[0].strip()
        for matchers in MATCHERS.findall(query)
        for matcher in matchers.split(",")
    }
    return (grouped | matched) - {""}


async def exposed(web: Web) -> dict[str, set[str]]:
    """What a scrape finds: the names of samples, with their labels."""
    found: dict[str, set[str]] = defaultdict(set)
    for family in text_string_to_metric_families((await web.http.get("/metrics")).text):
        for sample in family.samples:
            found[sample.name] |= sample.labels.keys()
    return found


async def used(web: Web) -> None:
    """Give every metric a series, by what the service does wherever that can be done at once."""
    budget = {"scope": "application", "name": "*", "metric": "usd", "window": "day", "amount": 1}
    await web.http.put("/v1/budgets", json={**budget, "name": "search"})
    headers = {"x-collegium-application": "search"}
    body = {"messages": [{"role": "user", "content": "sql 1"}], "stream": True}
    await web.http.post("/v1/chat/completions", json=body, headers=headers)
    await panels.ask(web, "vote", k=2)
    web.parts.metrics.alarms(["quality"], {"sql": 0.1})  # an expert has to get worse for some time
    web.parts.metrics.engines({"embedded": True})  # the fake experts have none


@asynccontextmanager
async def queueing(web: Web) -> AsyncIterator[None]:
    """Requests wait meanwhile for an expert that answers one at a time."""
    web.experts["sql"].waits = True
    asked = [asyncio.create_task(web.chat(model="sql")) for _ in range(2)]
    await until(lambda: web.parts.pool.dispatcher.waiting().get("sql"))
    yield
    web.experts.let_go()
    await asyncio.gather(*asked)


async def test_every_metric_and_label_is_exposed(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of each query, by a service that has answered."""
    async with serve(remote_concurrency=1) as web:
        await used(web)
        monkeypatch.setattr(web.parts.metrics, "engines", lambda _: None)
        async with queueing(web):
            known = await exposed(web)
    known["up"] = set()
    for query, told in queries():
        names = NAME.findall(query)
        assert names, query
        assert [name for name in names if name not in known] == [], query
        labels = {label for name in names for label in known[name]} | OF_PROMETHEUS
        assert (labels_in(query) | told) - labels == set(), query


def test_labels_of_a_query_are_found() -> None:
    """The check itself works."""
    query = 'sum by (expert, kind) (rate(x{status!="ok",job="a"}[5m])) / ignoring (le) y'
    assert labels_in(query) == {"expert", "kind", "status", "job", "le"}


async def test_exemplars_lead_to_traces(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the OpenMetrics format, where tracing is on; the older format has no room for them."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "none")
    trace = "0af7651916cd43dd8448eb211c80319c"
    async with serve(max_body_mib=31.0) as web:
        web.http.headers["traceparent"] = f"00-{trace}-b7ad6b7169203331-01"
        await web.chat(stream=True)
        accept = {"accept": "application/openmetrics-text; version=1.0.0"}
        page = await web.http.get("/metrics", headers=accept)
        plain = await web.http.get("/metrics")
    assert page.headers["content-type"].startswith("application/openmetrics-text")
    lines = [line for line in page.text.splitlines() if trace in line]
    for name in ("routing_overhead", "answer", "first_token"):
        assert any(line.startswith(f"collegium_{name}_seconds_bucket") for line in lines), name
    assert trace not in plain.text
