"""The manifests for KubeRay: what Kubernetes' schemas can check, and every name in them exists.

KubeRay's own schema is not in a package; the fields are compared with those of its API reference.
"""

from __future__ import annotations

import re
from copy import deepcopy
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.docker.test_compose import NOT_SETTINGS, SETTINGS, check_command
from tests.docker.test_kubernetes import MANIFESTS as BASE
from tests.docker.test_kubernetes import VERSIONS
from tests.repository import ROOT, read

FOLDER = ROOT / "deploy" / "kubernetes-ray"
FILES: dict[str, dict[str, Any]] = {
    path.name: yaml.safe_load(path.read_text()) for path in FOLDER.iterdir()
}
CLUSTER, ROUTER = FILES["cluster.yaml"], FILES["router.yaml"]
HEAD, (WORKERS,) = CLUSTER["spec"]["headGroupSpec"], CLUSTER["spec"]["workerGroupSpecs"]
GROUPS = {"head": HEAD, "workers": WORKERS}
RAY = {"RAY_USAGE_STATS_ENABLED", "HOME"}
"""What containers are told that is no setting."""
SPEC = {"rayVersion", "headGroupSpec", "workerGroupSpecs"}
GROUP = {"rayStartParams", "template"}
WORKER_GROUP = {*GROUP, "groupName", "replicas", "minReplicas", "maxReplicas"}


def merged(base: Any, patch: Any) -> Any:
    """A strategic merge, of lists by the names of their items."""
    if isinstance(base, dict) and isinstance(patch, dict):
        if patch.get("$patch") == "replace":
            return {key: value for key, value in patch.items() if key != "$patch"}
        return {**base, **{key: merged(base.get(key), value) for key, value in patch.items()}}
    if isinstance(base, list) and isinstance(patch, list) and isinstance(patch[0], dict):
        items = {item["name"]: item for item in base}
        for item in patch:
            items[item["name"]] = merged(items.get(item["name"]), item)
        return list(items.values())
    return deepcopy(patch)


DEPLOYMENT = merged(BASE["deployment.yaml"], ROUTER)
(CONTAINER,) = DEPLOYMENT["spec"]["template"]["spec"]["containers"]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_manifests_are_valid(version: str) -> None:
    """The patched deployment, the policy, and each group's pods."""
    kubernetes_validate.validate(DEPLOYMENT, version, strict=True)
    kubernetes_validate.validate(FILES["network.yaml"], version, strict=True)
    for name, group in GROUPS.items():
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}}
        spec = group["template"]["spec"]
        kubernetes_validate.validate({**pod, "spec": spec}, version, strict=True)


def test_the_cluster_has_the_fields_that_kuberay_knows() -> None:
    """Those of `ray.io/v1`; parameters of `ray start` are texts."""
    assert (CLUSTER["apiVersion"], CLUSTER["kind"]) == ("ray.io/v1", "RayCluster")
    assert set(CLUSTER["spec"]) == SPEC
    assert (set(HEAD), set(WORKERS)) == (GROUP, WORKER_GROUP)
    for group in GROUPS.values():
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())


def test_every_file_is_used() -> None:
    """As a resource or as a patch of one that the base has."""
    plan = FILES["kustomization.yaml"]
    patches = [patch["path"] for patch in plan["patches"]]
    assert plan["resources"][0] == "../kubernetes"
    assert set(FILES) == {"kustomization.yaml", *plan["resources"][1:], *patches}
    kinds = {(each["kind"], each["metadata"]["name"]) for each in BASE.values()}
    assert {(FILES[p]["kind"], FILES[p]["metadata"]["name"]) for p in patches} <= kinds


def test_all_nodes_have_one_version_of_ray_and_one_image() -> None:
    """Ray refuses others."""
    assert f"\nray=={CLUSTER['spec']['rayVersion']}\n" in read("requirements.txt")
    images = {g["template"]["spec"]["containers"][0]["image"] for g in GROUPS.values()}
    assert images == {CONTAINER["image"], FILES["kustomization.yaml"]["images"][0]["name"]}


def test_the_router_joins_the_cluster_and_serves() -> None:
    """At the head's service, as a node that runs no engines; with settings that exist."""
    (script,) = CONTAINER["args"]
    (port,) = HEAD["template"]["spec"]["containers"][0]["ports"]
    address = f"{CLUSTER['metadata']['name']}-head-svc:{port['containerPort']}"
    assert f"ray start --address={address} --num-cpus=0 " in script
    check_command(script.rpartition("exec ")[2].split())
    assert "--ray auto" in script
    names = {entry["name"] for entry in CONTAINER["env"]}
    assert names <= SETTINGS | NOT_SETTINGS | RAY
    assert DEPLOYMENT["spec"]["replicas"] == 1  # each would start engines of its own
    assert DEPLOYMENT["spec"]["strategy"] == {"type": "Recreate"}
    assert FILES["autoscaling.yaml"]["$patch"] == "delete"
    assert HEAD["rayStartParams"]["num-cpus"] == "0"


def test_probes_ask_what_listens() -> None:
    """The head its own store, workers their raylet."""
    (head,), (worker,) = (g["template"]["spec"]["containers"] for g in GROUPS.values())
    port = int(WORKERS["rayStartParams"]["node-manager-port"])
    for probe in ("readinessProbe", "livenessProbe"):
        assert worker[probe]["tcpSocket"]["port"] == port
        assert f"127.0.0.1:{head['ports'][0]['containerPort']}" in head[probe]["exec"]["command"]


@pytest.mark.parametrize("name", GROUPS)
def test_a_pod_can_not_change_itself(name: str) -> None:
    """As the router's: no root, no capabilities, read-only, no token of the cluster."""
    pod = GROUPS[name]["template"]["spec"]
    ours = BASE["deployment.yaml"]["spec"]["template"]["spec"]
    assert pod["securityContext"] == ours["securityContext"]
    assert pod["containers"][0]["securityContext"] == ours["containers"][0]["securityContext"]
    assert pod["automountServiceAccountToken"] is False
    mounts = {mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
    assert mounts == {volume["name"] for volume in pod["volumes"]}
    assert {e["name"] for e in pod["containers"][0]["env"]} <= RAY


def test_only_nodes_reach_nodes() -> None:
    """All of them, by labels that they bear."""
    labels = {group["template"]["metadata"]["labels"]["app"] for group in GROUPS.values()}
    labels.add(DEPLOYMENT["spec"]["template"]["metadata"]["labels"]["app"])
    spec = FILES["network.yaml"]["spec"]
    selectors = [spec["podSelector"], spec["ingress"][0]["from"][0]["podSelector"]]
    selectors.append(spec["egress"][0]["to"][0]["podSelector"])
    for selector in selectors:
        assert set(selector["matchExpressions"][0]["values"]) == labels
    (spread,) = WORKERS["template"]["spec"]["topologySpreadConstraints"]
    assert spread["labelSelector"]["matchLabels"] == {
        "ray.io/group": WORKERS["groupName"],
        "ray.io/cluster": CLUSTER["metadata"]["name"],
    }


def test_the_guide_names_what_is_needed() -> None:
    """The claim that holds the models, and the folder."""
    guide = read("docs/guides/ray.md")
    claims = re.findall(r"claimName: ([\w-]+)", (FOLDER / "cluster.yaml").read_text())
    assert claims
    assert all(f"`{claim}`" in guide for claim in claims)
    assert f"kubectl apply --kustomize {FOLDER.relative_to(ROOT)}" in guide
