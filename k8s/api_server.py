"""
Allows the pods that use the Kubernetes API to reach the API server, and no other host on its ports.

Only the cluster knows its address, so this cannot be a static manifest.
"""

import json
from collections.abc import Sequence
from typing import Any

from k8s.kubectl import NAMESPACE, ClusterError, apply, kubectl

# Patroni elects its leader there; the board reads faults there, and Prometheus pods; Strimzi reads topics and users.
ASKING = ("pages", "postgres", "prometheus", "kafka-entity-operator")
MAX_ADDRESSES = 50


def allow() -> None:
    """Apply the policy; raises `ClusterError` if the cluster does not report where its API server is."""
    apply(policy(*_places()))


def policy(addresses: Sequence[str], ports: Sequence[int]) -> dict[str, Any]:
    """Return the policy for an API server at *addresses*, on *ports*."""
    if not addresses or not ports or len(addresses) > MAX_ADDRESSES:
        raise ClusterError(f"the API server has {len(addresses)} addresses and {len(ports)} ports")
    blocks = [{"ipBlock": {"cidr": f"{each}/{128 if ':' in each else 32}"}} for each in sorted(set(addresses))]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "api-server", "namespace": NAMESPACE, "labels": {"stage": "foundation"}},
        "spec": {
            "podSelector": {"matchExpressions": [{"key": "app", "operator": "In", "values": list(ASKING)}]},
            "policyTypes": ["Egress"],
            "egress": [{"to": blocks, "ports": [{"port": each, "protocol": "TCP"} for each in sorted(set(ports))]}],
        },
    }


def _places() -> tuple[list[str], list[int]]:
    """
    Return the addresses of the API server: its endpoints and its service, since some network plugins filter before
    address translation and some after.
    """
    slices = _get("endpointslices", "-l", "kubernetes.io/service-name=kubernetes")["items"]
    service = _get("service", "kubernetes")["spec"]
    addresses = [
        address for each in slices for endpoint in each.get("endpoints") or () for address in endpoint["addresses"]
    ]
    ports = [port["port"] for each in slices for port in each.get("ports") or ()]
    return [*addresses, *service["clusterIPs"]], [*ports, *(port["port"] for port in service["ports"])]


def _get(*what: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(kubectl("get", "-n", "default", "-o", "json", *what))
    return found
