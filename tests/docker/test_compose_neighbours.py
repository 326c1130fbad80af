"""What the other programs of the production set-up are told: every name in it exists."""

import json
import re
from typing import Any

import yaml
from prometheus_client import Counter, Histogram
from prometheus_client.metrics import MetricWrapperBase

from collegium.settings import Settings
from collegium.web.serving.metrics import Metrics
from tests.repository import read


def test_the_balancer_knows_both_replicas(compose: dict[str, Any]) -> None:
    """And nobody else, at the port that they serve on."""
    upstreams = re.findall(r"^\s*server ([\w.-]+):(\d+)", read("docker/nginx.conf"), re.MULTILINE)
    port = compose["services"]["router-1"]["environment"]["COLLEGIUM_PORT"]
    assert upstreams == [("router-1", port), ("router-2", port)]


def test_the_balancer_lets_streams_and_large_bodies_through() -> None:
    """Its limits lie above the service's, which then refuses in its own words."""
    text = read("docker/nginx.conf")
    settings = Settings.model_fields
    assert "proxy_buffering off;" in text
    assert number(r"client_max_body_size (\d+)m;", text) > settings["max_body_mib"].default
    assert number(r"proxy_read_timeout (\d+)s;", text) > settings["request_timeout_s"].default


def number(pattern: str, text: str) -> float:
    found = re.search(pattern, text)
    assert found is not None, pattern
    return float(found[1])


def test_prometheus_asks_services_that_exist(compose: dict[str, Any]) -> None:
    """Both replicas are among them."""
    jobs = yaml.safe_load(read("docker/prometheus.yml"))["scrape_configs"]
    targets = [t for job in jobs for c in job["static_configs"] for t in c["targets"]]
    names = {target.split(":")[0] for target in targets}
    assert {"router-1", "router-2"} <= names <= set(compose["services"])


def test_grafana_finds_prometheus_and_its_dashboard(compose: dict[str, Any]) -> None:
    """The data source is the service; the dashboard lies where the provider looks."""
    source = yaml.safe_load(read("docker/grafana/datasources.yml"))["datasources"][0]
    assert source["url"].removeprefix("http://").split(":")[0] in compose["services"]
    folder = yaml.safe_load(read("docker/grafana/dashboards.yml"))["providers"][0]["options"]
    volumes = compose["services"]["grafana"]["volumes"]
    assert any(f"collegium.json:{folder['path']}/" in volume for volume in volumes)
    assert {panel["datasource"]["uid"] for panel in panels()} == {source["uid"]}


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(read("docker/grafana/collegium.json"))["panels"]
    return found


def test_every_metric_of_the_dashboard_exists() -> None:
    """With the labels that it is grouped by."""
    known = exported_metrics()
    for panel in panels():
        for target in panel["targets"]:
            names = re.findall(r"\bcollegium_\w+", target["expr"])
            labels = {label for name in names for label in known[name]}
            grouped = re.findall(r"\b(?:by|ignoring|on) \(([^)]*)\)", target["expr"])
            used = {label.strip() for group in grouped for label in group.split(",")}
            used |= set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            assert names, panel["title"]
            assert used <= labels | {"instance"}, panel["title"]


def exported_metrics() -> dict[str, set[str]]:
    """Return the names that Prometheus sees, with their labels."""
    names: dict[str, set[str]] = {}
    for metric in vars(Metrics()).values():
        if not isinstance(metric, MetricWrapperBase):
            continue
        labels = set(metric._labelnames)
        if isinstance(metric, Histogram):
            names |= {
                f"{metric._name}_{end}": labels | {"le"} for end in ("bucket", "sum", "count")
            }
        else:
            names[metric._name + ("_total" if isinstance(metric, Counter) else "")] = labels
    return names
