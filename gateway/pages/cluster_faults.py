"""The faults in force on a cluster: those in the VirtualServices of a namespace."""

from __future__ import annotations

from gateway.pages.faults import Json, NoSuchFault, faults_in, faults_of, key_of
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
        return faults_in((service, "applied") for service in await self._kubernetes.items(self._path))

    async def lift(self, name: str) -> None:
        """
        Refuse with `LiftedElsewhere`, which says what to do; `NoSuchFault` if VirtualService *name* has no fault.

        The pages server has no write access to VirtualServices, because with it any caller could be impersonated:
        routes can set headers.
        """
        services = await self._kubernetes.items(self._path)
        faulty = [each for each in services if key_of(each)[1] == name and any(faults_of(each))]
        if not faulty:
            raise NoSuchFault("no VirtualService of this name has a fault")
        # Deleted, one with hosts would take their routes with it.
        has_hosts = any((each.get("spec") or {}).get("hosts") for each in faulty)
        undo = "apply -f istio/" if has_hosts else f"delete virtualservice {name}"
        raise LiftedElsewhere(
            f"the board cannot change a cluster's mesh; kubectl -n {self._namespace} {undo} lifts the fault"
        )
