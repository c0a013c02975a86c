"""
VirtualServices that do nothing: another of the same host comes first (istioctl analyze: IST0109), or no other delegates
to them, which nothing of Istio tells.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from translator.config.httproute import speakers
from translator.model.delegates import ignored, referred
from translator.model.hosts import fqdn
from translator.model.mesh import Mesh
from translator.model.proxy import Proxy
from translator.model.registry import SIDECAR
from translator.model.virtual_service import MESH, bound_gateways


@dataclass(frozen=True)
class Unheard:
    """
    A VirtualService that says nothing of *host* to any sidecar, and the one that does.
    """

    title: str
    host: str
    first: str

    def __str__(self) -> str:
        name = self.first.rpartition("/")[2]
        return (
            f"{self.title} does nothing for {self.host}: {self.first} comes first, and a sidecar follows one for each "
            f"host (IST0109). Name yours {name} to stand in for it; it must then say everything that one says"
        )


def unheard(mesh: Mesh) -> Iterator[Unheard]:
    """
    Yield every host of a VirtualService for which all sidecars follow another.
    """
    heard: dict[str, dict[str, None]] = defaultdict(dict)
    for workload in mesh.registry.workloads:
        if workload.kind == SIDECAR:
            for host, resource in speakers(Proxy(mesh, workload)).items():
                heard[host][resource.title] = None
    for resource in mesh.of_kind("VirtualService"):
        if MESH not in bound_gateways(resource):
            continue
        for name in resource.spec.get("hosts", ()):
            host = fqdn(name.lower(), resource.namespace, mesh.registry.cluster_domain)
            if heard[host] and resource.title not in heard[host]:
                yield Unheard(resource.title, host, next(iter(heard[host])))


@dataclass(frozen=True)
class Undelegated:
    """
    A VirtualService without hosts that does nothing, wholly or in part, and why.
    """

    title: str
    reason: str

    def __str__(self) -> str:
        return f"{self.title} does nothing: {self.reason}"


def undelegated(mesh: Mesh) -> Iterator[Undelegated]:
    """
    Yield every VirtualService without hosts to which none delegates, and those that a root cannot have.
    """
    services = mesh.of_kind("VirtualService")
    wanted = referred(services)
    for resource in services:
        if not resource.spec.get("hosts") and (resource.namespace, resource.name) not in wanted:
            yield Undelegated(resource.title, "it has no hosts, and no VirtualService delegates to it")
    for each in ignored(services, mesh.registry.cluster_domain):
        yield Undelegated(each.delegate.title, f"{each.root.title} delegates to it, but {each.reason}")
