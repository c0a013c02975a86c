"""Faults in force on a cluster: what Kubernetes says of the VirtualServices in a namespace."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.pages.faults import Json, NoSuchFault, faults_of
from gateway.pages.kubernetes import Kubernetes, NoSuchObject


class ClusterFaults:
    """The VirtualServices of a namespace."""

    def __init__(self, kubernetes: Kubernetes, namespace: str) -> None:
        self._kubernetes = kubernetes
        self._path = f"/apis/networking.istio.io/v1/namespaces/{namespace}/virtualservices"

    async def active(self) -> list[Json]:
        """
        Return the faults of every VirtualService that has one; `KubernetesAway` if Kubernetes does not say.
        """
        services = await self._kubernetes.items(self._path)
        return [fault | {"file": "applied"} for service in services for fault in faults_of(service)]

    async def lift(self, name: str) -> None:
        """
        Take the faults out of VirtualService *name* and leave the rest of it; `NoSuchFault` if it has none.
        """
        try:
            found = await self._kubernetes.call("GET", f"{self._path}/{name}")
        except NoSuchObject as error:
            raise NoSuchFault(f"there is no VirtualService {name}") from error
        changes = without_faults(found)
        if not changes:
            raise NoSuchFault(f"VirtualService {name} has no fault")
        kind = {"content-type": "application/json-patch+json"}
        await self._kubernetes.call("PATCH", f"{self._path}/{name}", json=changes, headers=kind)


def without_faults(service: Mapping[str, Any]) -> list[Json]:
    """
    The JSON Patch (RFC 6902) that removes every fault, if nobody has changed the resource meanwhile.
    """
    routes = service.get("spec", {}).get("http", [])
    faulty = [number for number, route in enumerate(routes) if route.get("fault")]
    if not faulty:
        return []
    seen = {"op": "test", "path": "/metadata/resourceVersion", "value": service["metadata"]["resourceVersion"]}
    return [seen, *({"op": "remove", "path": f"/spec/http/{number}/fault"} for number in faulty)]
