"""What the other programs of the production set-up are told: every name in it exists."""

import json
import re
from typing import Any

import yaml

from collegium.settings import Settings
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
    largest = max(settings[name].default for name in ("max_body_mib", "max_file_mib"))
    assert number(r"client_max_body_size (\d+)m;", text) > largest
    assert "proxy_request_buffering off;" in text
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


def test_prometheus_sends_a_key_that_it_is_given(compose: dict[str, Any]) -> None:
    """As a file, from a variable that has no default."""
    ours, *_ = yaml.safe_load(read("docker/prometheus.yml"))["scrape_configs"]
    (name,) = compose["services"]["prometheus"]["secrets"]
    assert ours["authorization"] == {"credentials_file": f"/run/secrets/{name}"}
    assert compose["secrets"][name] == {"environment": "METRICS_KEY"}


def test_who_watches_is_a_profile(compose: dict[str, Any]) -> None:
    """The service needs neither; both start with `--profile observability`."""
    of_profile = {n for n, s in compose["services"].items() if "profiles" in s}
    assert of_profile == {"prometheus", "grafana"}
    assert "--profile observability" in read("docker-compose.yml")


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
