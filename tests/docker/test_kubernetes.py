"""The manifests for Kubernetes: valid by its own schemas, and every name in them exists."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from sqlalchemy.pool import QueuePool

from collegium.settings import Settings, load_settings
from collegium.web.app import create_app
from collegium.web.serving.metrics import Metrics
from tests.docker.test_compose import NOT_SETTINGS, SETTINGS, check_command
from tests.repository import ROOT, read

FOLDER = ROOT / "deploy" / "kubernetes"
KUSTOMIZATION: dict[str, Any] = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
MANIFESTS: dict[str, dict[str, Any]] = {
    name: yaml.safe_load((FOLDER / name).read_text()) for name in KUSTOMIZATION["resources"]
}
VERSIONS = ("1.30", kubernetes_validate.latest_version())
POD = MANIFESTS["deployment.yaml"]["spec"]["template"]["spec"]
(ROUTER,) = POD["containers"]
ENVIRONMENT = {entry["name"]: entry["value"] for entry in ROUTER["env"]}
LABELS = MANIFESTS["deployment.yaml"]["spec"]["template"]["metadata"]["labels"]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", MANIFESTS)
def test_a_manifest_is_valid(name: str, version: str) -> None:
    """By the schemas of the oldest version that it is for and of the newest; no unknown field."""
    kubernetes_validate.validate(MANIFESTS[name], version, strict=True)


def test_the_validation_itself_works() -> None:
    """A misspelt field is noticed."""
    wrong = {**MANIFESTS["service.yaml"], "spec": {"selectors": {"app": "x"}}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[0], strict=True)


def test_every_file_is_used() -> None:
    """A manifest that nobody applies is none."""
    assert {path.name for path in FOLDER.iterdir()} == {*MANIFESTS, "kustomization.yaml"}


def test_what_the_container_is_told_exists() -> None:
    """Settings, secrets that are settings, and a command."""
    assert set(ENVIRONMENT) <= SETTINGS | NOT_SETTINGS
    (secrets,) = (v["secret"] for v in POD["volumes"] if "secret" in v)
    assert {item["path"].upper() for item in secrets["items"]} <= SETTINGS
    assert all(item["key"] == item["path"] for item in secrets["items"])
    check_command(ROUTER["args"])
    mounts = {mount["name"]: mount["mountPath"] for mount in ROUTER["volumeMounts"]}
    assert set(mounts) == {volume["name"] for volume in POD["volumes"]}
    assert mounts["secrets"] == ENVIRONMENT["COLLEGIUM_SECRETS_DIR"]
    assert f"COLLEGIUM_DATA_DIR={mounts['data']}" in read("Dockerfile")


def test_probes_ask_routes_that_exist(tmp_path: Path) -> None:
    """At the port that the service listens on."""
    app = create_app(load_settings(embedded=False, data_dir=tmp_path))
    routes = {getattr(route, "path", "") for route in app.routes} | set(app.openapi()["paths"])
    probes = {k: ROUTER[k]["httpGet"] for k in ROUTER if k.endswith("Probe")}
    assert {p["path"] for p in probes.values()} <= routes
    assert probes["readinessProbe"]["path"] == "/readyz"
    assert probes["livenessProbe"]["path"] == "/healthz"
    (port,) = ROUTER["ports"]
    assert {p["port"] for p in probes.values()} == {port["name"]}
    assert str(port["containerPort"]) == ENVIRONMENT["COLLEGIUM_PORT"]
    annotations = MANIFESTS["deployment.yaml"]["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == ENVIRONMENT["COLLEGIUM_PORT"]
    assert annotations["prometheus.io/path"] in routes
    assert MANIFESTS["service.yaml"]["spec"]["ports"][0]["targetPort"] == port["name"]
    assert MANIFESTS["network.yaml"]["spec"]["ingress"][0]["ports"][0]["port"] == port["name"]


def test_answers_in_progress_may_end() -> None:
    """Kubernetes waits longer than preStop and the drain take together."""
    drain = float(ENVIRONMENT["COLLEGIUM_DRAIN_TIMEOUT_S"])
    assert drain == Settings.model_fields["drain_timeout_s"].default
    patience = ROUTER["lifecycle"]["preStop"]["sleep"]["seconds"] + drain + 10
    assert POD["terminationGracePeriodSeconds"] >= patience


def test_it_scales_by_a_metric_that_exists() -> None:
    """The queue's length; and on the deployment that there is."""
    spec = MANIFESTS["autoscaling.yaml"]["spec"]
    names = [m["pods"]["metric"]["name"] for m in spec["metrics"] if m["type"] == "Pods"]
    assert names == ["collegium_queue_depth"]
    assert set(names) <= exported_metrics()
    target = MANIFESTS[f"{spec['scaleTargetRef']['kind'].lower()}.yaml"]
    assert target["metadata"]["name"] == spec["scaleTargetRef"]["name"]
    assert spec["minReplicas"] >= 2
    assert "replicas" not in target["spec"]


@pytest.mark.parametrize(
    "selector",
    [
        MANIFESTS["deployment.yaml"]["spec"]["selector"]["matchLabels"],
        MANIFESTS["service.yaml"]["spec"]["selector"],
        MANIFESTS["disruption.yaml"]["spec"]["selector"]["matchLabels"],
        MANIFESTS["network.yaml"]["spec"]["podSelector"]["matchLabels"],
        *(each["labelSelector"]["matchLabels"] for each in POD["topologySpreadConstraints"]),
    ],
)
def test_every_selector_finds_the_pods(selector: dict[str, str]) -> None:
    """By labels that they bear."""
    assert selector
    assert selector.items() <= LABELS.items()


def test_a_pod_can_not_change_itself() -> None:
    """As in docker-compose.yml: no root, no capabilities, read-only, no token of the cluster."""
    pod, container = POD["securityContext"], ROUTER["securityContext"]
    assert pod["runAsNonRoot"] is True
    assert re.search(rf"^USER {pod['runAsUser']}$", read("Dockerfile"), re.MULTILINE)
    assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["readOnlyRootFilesystem"] is True
    assert container["allowPrivilegeEscalation"] is False
    assert container["capabilities"] == {"drop": ["ALL"]}
    assert POD["automountServiceAccountToken"] is False
    assert POD["serviceAccountName"] == MANIFESTS["account.yaml"]["metadata"]["name"]
    assert "memory" in ROUTER["resources"]["limits"]


def test_a_migration_is_not_killed_in_its_middle() -> None:
    """It takes minutes on a large database, before the first probe is answered."""
    probe = ROUTER["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] >= 600
    assert MANIFESTS["deployment.yaml"]["spec"].get("progressDeadlineSeconds", 600) >= 600


def test_the_loss_of_one_node_or_zone_leaves_replicas() -> None:
    """They are spread over both; a pod that lists one constraint loses the cluster's own ones."""
    spread = {each["topologyKey"]: each for each in POD["topologySpreadConstraints"]}
    assert set(spread) == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
    assert all(each["matchLabelKeys"] == ["pod-template-hash"] for each in spread.values())


def test_a_node_can_be_drained() -> None:
    """Also while replicas are not ready, as when the database is away."""
    budget = MANIFESTS["disruption.yaml"]["spec"]
    assert budget["maxUnavailable"] == 1
    assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_the_guide_names_what_the_manifests_have() -> None:
    """Secrets and their keys, labels of the network policy, and the connections of all replicas."""
    guide = read("docs/guides/replicas.md").partition("\n## Kubernetes")[2]
    (secrets,) = (v["secret"] for v in POD["volumes"] if "secret" in v)
    assert f"create secret generic {secrets['secretName']} " in guide
    files = set(re.findall(r"--from-file=(\w+)", guide))
    assert files == {item["key"] for item in secrets["items"]}
    assert f"`{ROUTER['envFrom'][0]['secretRef']['name']}`" in guide
    rules = MANIFESTS["network.yaml"]["spec"]
    peers = [p for r in rules["ingress"] for p in r["from"]]
    peers += [p for r in rules["egress"] for p in r["to"] if "podSelector" in p]
    for peer in peers:
        ((name, value),) = next(iter(peer.values()))["matchLabels"].items()
        assert f"`{name}={value}`" in guide
    most = MANIFESTS["autoscaling.yaml"]["spec"]["maxReplicas"]
    surge = MANIFESTS["deployment.yaml"]["spec"]["strategy"]["rollingUpdate"]["maxSurge"]
    connections = connections_of_a_replica() * (most + surge)
    assert f"{connections} for the {most} replicas" in " ".join(guide.split())


def connections_of_a_replica() -> int:
    """What SQLAlchemy's pool opens at most by default, which is what we use."""
    parameters = inspect.signature(QueuePool).parameters
    return int(parameters["pool_size"].default + parameters["max_overflow"].default)


def test_no_secret_is_written_down() -> None:
    """They are named only."""
    assert not any(manifest["kind"] == "Secret" for manifest in MANIFESTS.values())
    assert not re.search("KEY|PASSWORD|TOKEN|_URL", " ".join(ENVIRONMENT))


def exported_metrics() -> set[str]:
    """Return the names of counters and gauges as Prometheus sees them."""
    found = Metrics().registry.collect()
    return {m.name + ("_total" if m.type == "counter" else "") for m in found}
