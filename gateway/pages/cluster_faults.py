"""Faults in force on a cluster: what Kubernetes says of the VirtualServices in a namespace."""

from __future__ import annotations

from gateway.pages.faults import Json, NoSuchFault, faults_of
from gateway.pages.kubernetes import Kubernetes
from runtime.errors import FailedPrecondition


class LiftedElsewhere(FailedPrecondition):
    """Only who may change the mesh may lift a fault, and the pages may not."""

    reason = "LIFTED_WITH_KUBECTL"


class ClusterFaults:
    """The VirtualServices of a namespace, which are only read."""

    def __init__(self, kubernetes: Kubernetes, namespace: str) -> None:
        self._kubernetes = kubernetes
        self._namespace = namespace
        self._path = f"/apis/networking.istio.io/v1/namespaces/{namespace}/virtualservices"

    async def active(self) -> list[Json]:
        """
        Return the faults of every VirtualService that has one; `KubernetesAway` if Kubernetes does not say.
        """
        services = await self._kubernetes.items(self._path)
        return [fault | {"file": "applied"} for service in services for fault in faults_of(service)]

    async def lift(self, name: str) -> None:
        """
        Refuse with what to do instead, `LiftedElsewhere`; `NoSuchFault` if VirtualService *name* has no fault.

        Who may write a VirtualService may make any caller another: its routes set headers. So the pages may not.
        """
        if not any(fault["name"] == name for fault in await self.active()):
            raise NoSuchFault("no VirtualService of this name has a fault")
        raise LiftedElsewhere(
            f"the board changes nothing on a cluster: kubectl -n {self._namespace} apply -f istio/ lifts it"
        )
