"""
Services that can be called, and the conversion of Kubernetes' Services (istio: model/service.go).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from translator.model.hosts import fqdn
from translator.model.registry import Registry, ServiceRecord, Workload

HTTP2_PROTOCOLS = frozenset({"grpc", "http2", "grpc-web"})
HTTP_PROTOCOLS = HTTP2_PROTOCOLS | {"http"}
PROTOCOLS = HTTP_PROTOCOLS | {"https", "tls", "tcp"}


@dataclass(frozen=True)
class Port:
    """
    A port of a service, with its protocol.
    """

    name: str
    number: int
    protocol: str
    target: int

    @property
    def is_http(self) -> bool:
        """
        Return whether routes apply to it.
        """
        return self.protocol in HTTP_PROTOCOLS

    @property
    def is_http2(self) -> bool:
        """
        Return whether calls go out as HTTP/2.
        """
        return self.protocol in HTTP2_PROTOCOLS


@dataclass(frozen=True)
class Endpoint:
    """
    One address of a service; `ports` replaces the target of a port, by the port's name; `serves` has the names of the
    ports it is there for, empty for all.
    """

    address: str
    labels: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=dict)
    identity: str = ""
    namespace: str = ""
    sidecar: bool = False
    weight: int = 0
    serves: frozenset[str] = frozenset()

    def has(self, port: Port) -> bool:
        """
        Return whether *port* is served here.
        """
        return not self.serves or port.name in self.serves

    def port(self, port: Port) -> int:
        """
        Return the port on which this endpoint serves *port*.
        """
        return self.ports.get(port.name, port.target)


@dataclass(frozen=True)
class Service:
    """
    A host that can be called, its ports and its addresses.

    *identities* are the names of which a peer must have one: those of its workloads, and what ServiceEntries name
    (*subject_alt_names*); without any, each peer of the mesh will do.
    """

    host: str
    namespace: str
    ports: tuple[Port, ...]
    endpoints: tuple[Endpoint, ...] = ()
    resolution: str = "STATIC"
    external: bool = False
    export_to: tuple[str, ...] = ("*",)
    identities: tuple[str, ...] = ()
    subject_alt_names: tuple[str, ...] = ()
    kubernetes: bool = True
    created: str = ""

    @property
    def age(self) -> tuple[str, str, str]:
        """
        Return the order in which Istio looks at services: by creation, then by name.
        """
        name = self.host.partition(".")[0] if self.kubernetes else self.host
        return self.created, name, self.namespace

    def port(self, number: int) -> Port | None:
        """
        Return the port with this number, if there is one.
        """
        return next((port for port in self.ports if port.number == number), None)


def protocol_of(name: str) -> str:
    """
    Return the protocol prefix of a port's name; plain TCP without one.
    """
    for protocol in sorted(PROTOCOLS, key=len, reverse=True):
        if name == protocol or name.startswith(f"{protocol}-"):
            return protocol
    return "tcp"


def registry_services(registry: Registry, not_ready: frozenset[str] = frozenset()) -> Iterator[Service]:
    """
    Return the registry's services, without the endpoints that are not ready.
    """
    by_label: dict[tuple[str, str, str], list[Workload]] = {}
    for workload in registry.workloads:
        for key, value in workload.labels.items():
            by_label.setdefault((workload.namespace, key, value), []).append(workload)
    for record in registry.services:
        yield _registry_service(registry, record, by_label, not_ready)


def _registry_service(
    registry: Registry,
    record: ServiceRecord,
    by_label: Mapping[tuple[str, str, str], list[Workload]],
    not_ready: frozenset[str],
) -> Service:
    first = next(iter(record.selector.items()), None)
    candidates = by_label.get((record.namespace, *first), []) if first else []
    chosen = [workload for workload in candidates if record.selector.items() <= workload.labels.items()]
    return Service(
        host=fqdn(record.name, record.namespace, registry.cluster_domain),
        namespace=record.namespace,
        ports=tuple(Port(port.name, port.number, protocol_of(port.name), port.target) for port in record.ports),
        endpoints=tuple(workload_endpoint(registry, workload) for workload in chosen if workload.name not in not_ready),
        # As in Istio, the identities of a service are known even while no endpoint is ready.
        identities=tuple(sorted({registry.identity(workload) for workload in chosen})),
    )


def workload_endpoint(registry: Registry, workload: Workload) -> Endpoint:
    """
    Return the endpoint of a workload with a sidecar.
    """
    return Endpoint(
        address=workload.address,
        labels=workload.labels,
        identity=registry.identity(workload),
        namespace=workload.namespace,
        sidecar=True,
    )
