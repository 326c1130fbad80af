"""The production set-up gives each container what it needs and nothing more."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from tests.repository import read

NAMES = sorted(yaml.safe_load(read("docker-compose.yml"))["services"])


@pytest.fixture(params=NAMES)
def service(request: pytest.FixtureRequest, compose: dict[str, Any]) -> dict[str, Any]:
    """Each service in turn."""
    found: dict[str, Any] = compose["services"][request.param]
    return found


def test_it_can_not_change_itself(service: dict[str, Any]) -> None:
    """Read-only, no capabilities, no new privileges, another user than root."""
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert "privileged" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert re.fullmatch(r"[1-9]\d*:\d+", service["user"])
    assert "/tmp" in [place.partition(":")[0] for place in service["tmpfs"]]


def test_it_can_not_take_the_whole_machine(service: dict[str, Any]) -> None:
    """Its memory and the number of its processes end somewhere."""
    assert 0 < service["pids_limit"] <= 1024
    assert re.fullmatch(r"\d+[mg]|\$\{EXPERT_MEMORY:-\d+g\}", service["mem_limit"])


def test_it_says_whether_it_is_healthy(service: dict[str, Any]) -> None:
    """Often, and within a time."""
    check = service["healthcheck"]
    assert check["test"][0] in ("CMD", "CMD-SHELL")
    assert {"interval", "timeout", "retries"} <= set(check)


def test_it_waits_for_healthy_services(service: dict[str, Any]) -> None:
    """Not for started ones."""
    waits = service.get("depends_on", {})
    assert {c["condition"] for c in waits.values()} <= {"service_healthy"}


def test_it_mounts_the_hosts_files_for_reading(service: dict[str, Any]) -> None:
    """Volumes alone are written to."""
    own = [volume for volume in service.get("volumes", ()) if volume.startswith((".", "$", "/"))]
    assert [volume for volume in own if not volume.endswith(":ro")] == []


def test_ports_are_open_to_this_machine_alone(compose: dict[str, Any]) -> None:
    """By default; the balancer's may be told otherwise."""
    ports = [port for s in compose["services"].values() for port in s.get("ports", ())]
    assert ports == ["${PUBLISH_ADDRESS:-127.0.0.1}:8080:8080", "127.0.0.1:3000:3000"]


def test_databases_are_reached_by_the_replicas_alone(compose: dict[str, Any]) -> None:
    """Over a network that leads nowhere else."""
    networks, services = compose["networks"], compose["services"]
    assert networks["data"]["internal"] is True
    assert networks["back"]["internal"] is True
    there = {name for name, s in services.items() if "data" in s["networks"]}
    assert there == {"router-1", "router-2", "postgres", "redis"}
    for name in ("postgres", "redis"):
        assert services[name]["networks"] == ["data"]
        assert "ports" not in services[name]


def test_the_image_is_not_roots(compose: dict[str, Any]) -> None:
    """Its user has a number, and the folder that its volume is mounted on."""
    text, router = read("Dockerfile"), compose["services"]["router-1"]
    user = re.findall(r"^USER (\d+)$", text, re.MULTILINE)
    assert user == [router["user"].split(":")[0]]
    folder = re.findall(r"COLLEGIUM_DATA_DIR=(\S+)", text)
    assert router["volumes"] == [f"router-1:{folder[0]}"]
    assert f"VOLUME {folder[0]}" in text
