"""The faults in force on a cluster: those in the VirtualServices of a namespace."""

from __future__ import annotations

from gateway.pages.faults import Json, NoSuchFault, faults_of, key_of, unheard
from gateway.pages.kubernetes import Kubernetes
from runtime.errors import FailedPrecondition


class LiftedElsewhere(FailedPrecondition):
    """Only those who may change the mesh can lift a fault, and the pages server may not."""

    reason = "LIFTED_WITH_KUBECTL"


class ClusterFaults:
    """The VirtualServices of a namespace; read-only."""

    def __init__(self, kubernetes: Kubernetes, namespace: str) -> None:
        self._kubernetes = kubernetes
        self._namespace = namespace
        self._path = f"/apis/networking.istio.io/v1/namespaces/{namespace}/virtualservices"

    async def active(self) -> list[Json]:
        """
        Return the faults of every VirtualService that has one; raises `KubernetesAway` if Kubernetes does not answer.
        """
        services = await self._kubernetes.items(self._path)
        behind = unheard(services)
        return [
            fault | {"file": "applied", "behind": behind.get(key_of(service), "")}
            for service in services
            for fault in faults_of(service)
        ]

    async def lift(self, name: str) -> None:
        """
        Refuse with `LiftedElsewhere`, which says what to do; `NoSuchFault` if VirtualService *name* has no fault.

        The pages server has no write access to VirtualServices, because with it any caller could be impersonated:
        routes can set headers.
        """
        if not any(fault["name"] == name for fault in await self.active()):
            raise NoSuchFault("no VirtualService of this name has a fault")
        raise LiftedElsewhere(
            f"the board cannot change a cluster's mesh; kubectl -n {self._namespace} apply -f istio/ lifts the fault"
        )
