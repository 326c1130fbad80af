"""An operator's labels of an expert, for rules: licence, location, data classes."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit

from collegium.registry.expert import RUN_HERE, Expert

LABELS = ("licence", "residency", "data_class")
LOCAL = "local"
"""The label that says "yes" or "no" for experts whose address doesn't show whether they are local.
"""
LONGEST = 100
OWN_NETWORKS = tuple(
    ip_network(network)
    for network in (
        "127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16",
        "::1/128", "fc00::/7", "fe80::/10",
    )
)  # fmt: skip


def is_local(expert: Expert) -> bool:
    """Whether an expert's prompts stay on this machine or in its private network.

    So it is where we run its engine, or where its address is `localhost`, a loopback, a private or
    a link-local address. A name says nothing, for it may lead anywhere: there, and for LiteLLM's
    models without an address, the operator says it with the label `local`.
    """
    said = expert.labels.get(LOCAL)
    if said is not None:
        return said == "yes"
    return expert.kind in RUN_HERE or _is_own(urlsplit(expert.base_url or "").hostname or "")


def _is_own(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address: IPv4Address | IPv6Address = ip_address(host)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(address in network for network in OWN_NETWORKS)


def problem_of(labels: Mapping[str, Any]) -> str:
    """Return why labels are invalid, or an empty string."""
    if unknown := sorted(labels.keys() - {*LABELS, LOCAL}):
        return f"there is no label {', '.join(unknown)}; available: {', '.join((*LABELS, LOCAL))}"
    if labels.get(LOCAL, "yes") not in ("yes", "no"):
        return "the label local is yes or no"
    for name, value in labels.items():
        if not isinstance(value, str) or not value.isprintable() or not 1 <= len(value) <= LONGEST:
            return f"the label {name} is a text of 1 to {LONGEST} printable characters"
    return ""
